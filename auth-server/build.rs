//! Takes what the API explorer needs out of Swagger UI's archive, compressed as browsers take it.

use std::error::Error;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// Of the thirty files in the archive: the rest is source maps, other builds, and a page with
/// scripts that our policy would not let run.
const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR")?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for name in FILES {
        let path = archive
            .file_names()
            .filter_map(Result::ok)
            .find(|path| path.ends_with(&format!("/dist/{name}")))
            .ok_or_else(|| format!("Swagger UI has no {name} any more"))?
            .into_owned();
        let mut content = Vec::new();
        archive.by_name(&path)?.read_to_end(&mut content)?;
        let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
        compressed.write_all(&content)?;
        std::fs::write(
            Path::new(&out).join(format!("{name}.gz")),
            compressed.finish()?,
        )?;
    }
    Ok(())
}
