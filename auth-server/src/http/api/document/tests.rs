use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::Value;

use super::{LISTS, complete};
use crate::http::routes::ENDPOINTS;

fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (path.clone(), method.to_ascii_uppercase()))
        })
        .collect()
}

#[test]
fn what_is_described_is_there_and_what_is_there_is_described() {
    let table: BTreeSet<(String, String)> = ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.path.starts_with("/api/v1/"))
        .flat_map(|endpoint| {
            let methods = endpoint
                .methods
                .iter()
                .filter(|method| *method != Method::HEAD);
            methods.map(|method| (endpoint.path.to_owned(), method.to_string()))
        })
        .collect();
    assert_eq!(operations(&complete()), table);
}

#[test]
fn every_operation_says_what_it_is_and_what_may_go_wrong() {
    let document = complete();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, method) in operations(&document) {
        let operation = &document["paths"][&path][method.to_ascii_lowercase()];
        let context = format!("{method} {path}: {operation:#}");
        assert!(
            ids.insert(operation["operationId"].to_string()),
            "{context}"
        );
        assert!(
            operation["summary"].as_str().unwrap().len() > 3,
            "{context}"
        );
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{context}"
        );
        assert!(responses.contains_key("503"), "{context}");
        let protected = operation["security"] != serde_json::json!([]);
        assert!(!protected || responses.contains_key("401"), "{context}");
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            let parameters = operation["parameters"].as_array().expect(&context);
            assert!(
                parameters
                    .iter()
                    .any(|known| known["name"] == name && known["in"] == "path"),
                "{context}"
            );
        }
    }
}

#[test]
fn every_list_can_be_paged() {
    let document = complete();
    let lists: Vec<String> = operations(&document)
        .into_iter()
        .filter(|(path, method)| {
            let schema = &document["paths"][path][method.to_ascii_lowercase()]["responses"]["200"]
                ["content"]["application/json"]["schema"];
            method == "GET" && schema["type"] == "array"
        })
        .map(|(path, _)| path)
        .collect();
    let mut described: Vec<&str> = LISTS.iter().map(|(path, _)| *path).collect();
    described.sort_unstable();
    assert_eq!(lists, described);
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    found.push(target.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = complete();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 10);
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}
