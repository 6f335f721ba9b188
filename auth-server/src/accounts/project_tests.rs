use super::*;
use crate::store::{POSTGRES, SQLITE};
use crate::testing::{clock, context, repository};

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
        let created = create(&context(&database), private("team/app")).await.unwrap();
        let path = repository("team/app");
        assert_eq!(
            find_by_path(&database, &path).await.unwrap(),
            Some(created.clone())
        );
        assert_eq!(
            find_by_id(&database, created.id).await.unwrap(),
            Some(created)
        );
        assert_eq!(find_by_path(&database, &repository("team")).await.unwrap(), None);
    }

    async fn visibility_is_what_was_set_last(database: Database) {
        let context = context(&database);
        let mut project = create(&context, private("app")).await.unwrap();
        for visibility in [Visibility::Public, Visibility::Internal, Visibility::Private] {
            let version = project.version + 1;
            let changed = set_visibility(&context, project.id, visibility, None).await.unwrap();
            assert_eq!(changed, Project { visibility, version, ..project });
            let found = find_by_id(&database, changed.id).await.unwrap();
            assert_eq!(found, Some(changed.clone()));
            project = changed;
        }
        let same = set_visibility(&context, project.id, project.visibility, None).await.unwrap();
        assert_eq!(same, project, "nothing has changed, so the version is the same");
    }

    async fn of_two_who_change_the_same_version_one_is_told(database: Database) {
        let context = context(&database);
        let read = create(&context, private("app")).await.unwrap();
        let expected = Some(read.version);
        set_visibility(&context, read.id, Visibility::Public, expected).await.unwrap();
        for error in [
            set_visibility(&context, read.id, Visibility::Internal, expected).await.unwrap_err(),
            delete(&context, read.id, expected).await.unwrap_err(),
        ] {
            assert!(matches!(error, ProjectError::Outdated), "{error:?}");
        }
        delete(&context, read.id, Some(read.version + 1)).await.unwrap();
    }

    async fn the_number_of_a_deleted_project_is_not_given_again(database: Database) {
        let context = context(&database);
        let first = create(&context, private("app")).await.unwrap();
        delete(&context, first.id, None).await.unwrap();
        assert_eq!(find_by_id(&database, first.id).await.unwrap(), None);
        let second = create(&context, private("app")).await.unwrap();
        assert!(second.number > first.number);
    }

    async fn what_does_not_exist_cannot_be_changed(database: Database) {
        let context = context(&database);
        let id = ProjectId(clock().uuid());
        let error = set_visibility(&context, id, Visibility::Public, None).await.unwrap_err();
        assert!(matches!(error, ProjectError::NotFound), "{error:?}");
        let error = delete(&context, id, None).await.unwrap_err();
        assert!(matches!(error, ProjectError::NotFound), "{error:?}");
    }

    async fn pages_sort_bytewise(database: Database) {
        let context = context(&database);
        let mut paths = ["b", "a/b", "a-b", "a.b", "a", "ab", "a_b"];
        for path in paths {
            create(&context, private(path)).await.unwrap();
        }
        paths.sort_unstable();
        let page = list(&database, &PageRequest::new(None, 7)).await.unwrap();
        let listed: Vec<&str> = page.entries.iter().map(|project| project.path.as_str()).collect();
        assert_eq!(listed, paths);
        assert!(!page.more);
        let page = list(&database, &PageRequest::new(Some("a/b".into()), 1)).await.unwrap();
        assert_eq!(page.entries[0].path.as_str(), "a_b");
        assert!(page.more);
    }
}

#[test]
fn a_project_contains_what_lies_below_it() {
    let project = Project {
        id: ProjectId(Uuid::nil()),
        number: 1,
        path: repository("team/app"),
        visibility: Visibility::Private,
        created_at: clock().now(),
        version: 1,
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
