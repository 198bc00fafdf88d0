//! Every statement finds its rows by an index: no statement takes longer the more rows a table has.

use std::{fs, path::Path};

use super::{Data, Store};

/// The beginnings of statements that read a whole table, or sort what they read, and why they may.
const LONG: &[(&str, &str)] = &[
    ("SELECT person FROM departures LIMIT 1", "reads one row"),
    ("SELECT room FROM removed LIMIT 1", "reads one row"),
    ("SELECT id FROM rooms WHERE kind = 3 LIMIT 1", "reads one row of a partial index"),
    ("SELECT 1 FROM people WHERE password IS NOT NULL LIMIT 1", "reads one row of a partial index"),
    ("SELECT id, person, created, used, expires FROM sessions WHERE person = ?1", "a user has at most 100 sessions"),
    ("SELECT id, person, created, used, expires, program, system FROM sessions", "a user has at most 100 sessions"),
    ("SELECT count(*) FROM (SELECT 1 FROM room_parts", "reads a limited part of a table"),
    ("SELECT count(*) FROM sqlite_schema", "reads the schema"),
    ("UPDATE rooms SET epoch", "only after a restore"),
];

/// Returns the SQL in a source file, without its tests.
fn statements(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let texts = source.split('"').skip(1).step_by(2);
    let is_sql = |text: &&str| ["SELECT", "INSERT", "UPDATE", "DELETE"].iter().any(|verb| text.starts_with(verb));
    texts.filter(is_sql).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_statement_uses_an_index() {
    let store = Store::open(&Data::Memory).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut seen = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        // Checks read whole tables, and not on a server's thread.
        let is_excepted =
            ["plans.rs", "invariants.rs", "reader.rs", "backup.rs"].iter().any(|file| path.ends_with(file));
        if path.extension().is_some_and(|extension| extension == "rs") && !is_excepted {
            seen.extend(statements(&fs::read_to_string(path).unwrap()));
        }
    }
    assert!(seen.len() > 50, "only {} statements were found", seen.len());
    let mut long = Vec::new();
    for sql in &seen {
        let mut statement = store.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> = statement.raw_query().mapped(|row| row.get("detail")).map(Result::unwrap).collect();
        let is_long = |step: &String| {
            (step.starts_with("SCAN") && step != "SCAN CONSTANT ROW") || step.starts_with("USE TEMP B-TREE")
        };
        if plan.iter().any(is_long) {
            assert!(LONG.iter().any(|(start, _)| sql.starts_with(start)), "{sql}: {plan:#?}");
            long.push(sql.clone());
        }
    }
    for (start, _) in LONG {
        assert!(long.iter().any(|sql| sql.starts_with(start)), "{start} uses an index");
    }
}
