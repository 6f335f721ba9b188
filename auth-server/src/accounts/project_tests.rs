use super::*;
use crate::accounts::user;
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{clock, name, new_user, repository};

fn private(path: &str) -> NewProject {
    NewProject {
        path: repository(path),
        owner: None,
        visibility: Visibility::Private,
    }
}

database::test_on_both! {
    migrations: (SQLITE, POSTGRES);

    async fn a_project_comes_back_as_created(database: Database) {
        let clock = clock();
        let created = create(&database, &clock, private("team/app")).await.unwrap();
        let path = repository("team/app");
        assert_eq!(
            find_by_path(&database, &path).await.unwrap(),
            Some(created.clone())
        );
        assert_eq!(
            find_by_id(&database, created.project.id).await.unwrap(),
            Some(created)
        );
        assert_eq!(find_by_path(&database, &repository("team")).await.unwrap(), None);
    }

    async fn a_project_names_its_owner(database: Database) {
        let clock = clock();
        user::create(&database, &clock, new_user("alice")).await.unwrap();
        let new = NewProject { owner: Some(name("alice")), ..private("team/app") };
        let created = create(&database, &clock, new).await.unwrap();
        assert_eq!(created.owner, Some(name("alice")));
        let found = find_by_path(&database, &repository("team/app")).await.unwrap();
        assert_eq!(found, Some(created));
    }

    async fn visibility_is_what_was_set_last(database: Database) {
        let clock = clock();
        let created = create(&database, &clock, private("app")).await.unwrap().project;
        for visibility in [Visibility::Public, Visibility::Internal, Visibility::Private] {
            let changed = set_visibility(&database, created.id, visibility).await.unwrap();
            assert_eq!(changed, Project { visibility, ..created.clone() });
            let found = find_by_id(&database, created.id).await.unwrap();
            assert_eq!(found.unwrap().project, changed);
        }
    }

    async fn the_number_of_a_deleted_project_is_not_given_again(database: Database) {
        let clock = clock();
        let first = create(&database, &clock, private("app")).await.unwrap().project;
        delete(&database, first.id).await.unwrap();
        assert_eq!(find_by_id(&database, first.id).await.unwrap(), None);
        let second = create(&database, &clock, private("app")).await.unwrap().project;
        assert!(second.number > first.number);
    }

    async fn what_does_not_exist_cannot_be_changed(database: Database) {
        let id = ProjectId(clock().uuid());
        let error = set_visibility(&database, id, Visibility::Public).await.unwrap_err();
        assert!(matches!(error, ProjectError::NotFound), "{error:?}");
        let error = delete(&database, id).await.unwrap_err();
        assert!(matches!(error, ProjectError::NotFound), "{error:?}");
    }

    async fn pages_sort_bytewise(database: Database) {
        let clock = clock();
        let mut paths = ["b", "a/b", "a-b", "a.b", "a", "ab", "a_b"];
        for path in paths {
            create(&database, &clock, private(path)).await.unwrap();
        }
        paths.sort_unstable();
        let page = list(&database, &PageRequest::new(None, 7)).await.unwrap();
        let listed: Vec<&str> = page.entries.iter().map(|owned| owned.project.path.as_str()).collect();
        assert_eq!(listed, paths);
        assert!(!page.more);
        let page = list(&database, &PageRequest::new(Some("a/b".into()), 1)).await.unwrap();
        assert_eq!(page.entries[0].project.path.as_str(), "a_b");
        assert!(page.more);
    }
}

#[test]
fn a_project_contains_what_lies_below_it() {
    let project = Project {
        id: ProjectId(Uuid::nil()),
        number: 1,
        path: repository("team/app"),
        owner_id: None,
        visibility: Visibility::Private,
        created_at: clock().now(),
    };
    for inside in ["team/app", "team/app/worker", "team/app/a/b"] {
        assert!(project.contains(&repository(inside)), "{inside}");
    }
    for outside in [
        "team",
        "team/application",
        "team/app-2",
        "team/ap",
        "other/team/app",
    ] {
        assert!(!project.contains(&repository(outside)), "{outside}");
    }
}
