//! Gathers what `npm run build` has made in `web/dist`, each file also compressed, to be embedded. Never runs npm: where
//! the page is missing, the program is built all the same and says what to run.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> io::Result<()> {
    let variable = |name: &str| std::env::var(name).map(PathBuf::from).map_err(io::Error::other);
    let web = variable("CARGO_MANIFEST_DIR")?.join("../../web");
    let (built, gathered) = (web.join("dist"), variable("OUT_DIR")?.join("page"));
    if gathered.exists() {
        fs::remove_dir_all(&gathered)?;
    }
    fs::create_dir_all(&gathered)?;
    if built.join("index.html").is_file() {
        println!("cargo::rerun-if-changed={}", built.display());
        return gather(&built, &gathered);
    }
    // A path that is not there would have this run at every build.
    let watched = if web.is_dir() { web } else { variable("CARGO_MANIFEST_DIR")?.join("build.rs") };
    println!("cargo::rerun-if-changed={}", watched.display());
    println!("cargo::warning=web/dist is missing: the page in the browser is not built in; run `make web`");
    Ok(())
}

fn gather(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            gather(&source, &target)?;
            continue;
        }
        let bytes = fs::read(&source)?;
        fs::write(&target, &bytes)?;
        let mut compressed = target.into_os_string();
        compressed.push(".gz");
        let mut encoder = GzEncoder::new(File::create(compressed)?, Compression::best());
        encoder.write_all(&bytes)?;
        encoder.finish()?;
    }
    Ok(())
}
