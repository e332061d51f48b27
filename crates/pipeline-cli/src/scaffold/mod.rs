//! The files of a new project: a spec, an overlay, a folder for baselines, a workflow for CI.

pub mod data_set;
mod photos;

use std::path::{Path, PathBuf};

use pipeline_experiments::project::relative;

use crate::failure::Failure;
use crate::whole_file::{cannot, create_new};
use data_set::{DataSet, StageData};

/// The name of the spec.
pub const SPEC: &str = "baseline";

/// The workflow's place in a git repository.
pub const WORKFLOW: &str = ".github/workflows/retrieval.yml";

const SPEC_TEXT: &str = include_str!("spec.yaml");
const OVERLAY_TEXT: &str = include_str!("overlay.yaml");
const BASELINES_TEXT: &str = include_str!("baselines.md");
const MARKER_TEXT: &str = include_str!("marker.toml");
const WORKFLOW_TEXT: &str = include_str!("workflow.yml");

/// The place of the program in the workflow until somebody names it.
const UNNAMED_PROGRAM: &str = "--git https://github.com/OWNER/pipeline --rev REVISION";

/// A project to begin.
#[derive(Debug)]
pub struct Scaffold {
    /// The absolute path of its root.
    pub root: PathBuf,
    /// The data set of its spec.
    pub data: DataSet,
    /// The text encoder: an absolute path, or a name.
    pub text_model: String,
    /// The image encoder: an absolute path, or a name.
    pub image_model: String,
    /// The absolute path of the folder of models with names.
    pub models: PathBuf,
    /// The git repository of the program.
    pub program_git: Option<String>,
}

/// A file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaffoldFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// True if it was written now; false if it was there, and stays as it is.
    pub is_new: bool,
}

impl Scaffold {
    /// Writes the files that are missing, and returns all.
    ///
    /// The overlay and the workflow belong to the spec: without it they are only written together with it.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self) -> Result<Vec<ScaffoldFile>, Failure> {
        let pipelines = self.root.join("pipelines");
        let spec = create(pipelines.join(format!("{SPEC}.yaml")), &self.spec())?;
        let mut files = vec![create(self.root.join("pipeline.toml"), MARKER_TEXT)?];
        let is_ours = spec.is_new;
        files.push(spec);
        let (workflow, workflow_text) = self.workflow();
        for (path, text) in [(pipelines.join("temperature.yaml"), OVERLAY_TEXT), (workflow, workflow_text.as_str())] {
            if is_ours || path.exists() {
                files.push(create(path, text)?);
            }
        }
        files.push(create(pipelines.join("baselines/README.md"), BASELINES_TEXT)?);
        Ok(files)
    }

    /// True if the workflow still has to learn where the program comes from.
    pub fn lacks_program(&self) -> bool {
        self.program_git.is_none()
    }

    fn spec(&self) -> String {
        let folder = self.root.join("pipelines");
        let data = self.data_folder();
        let params = |data_of: &StageData| {
            let path = match data_of.path.strip_prefix(data) {
                Ok(name) if name.as_os_str().is_empty() => "${data}".to_owned(),
                Ok(name) => format!("${{data}}/{}", name.display()),
                Err(_) => self.seen_from(&folder, &data_of.path),
            };
            format!("{{ path: {}{} }}", in_yaml(&path), data_of.more)
        };
        let model = |model: &str| match Path::new(model).is_absolute() {
            true => self.seen_from(&folder, Path::new(model)),
            false => model.to_owned(),
        };
        [
            ("@DATA@", in_yaml(&self.seen_from(&folder, data))),
            ("@MODELS@", in_yaml(&self.seen_from(&folder, &self.models))),
            ("@TEXT_MODEL@", in_yaml(&model(&self.text_model))),
            ("@IMAGE_MODEL@", in_yaml(&model(&self.image_model))),
            ("@TRAIN_IMAGES@", params(&self.data.train_images)),
            ("@TRAIN_QUERIES@", params(&self.data.train_queries)),
            ("@VALID_IMAGES@", params(&self.data.valid_images)),
            ("@VALID_QUERIES@", params(&self.data.valid_queries)),
        ]
        .iter()
        .fold(SPEC_TEXT.to_owned(), |text, (mark, value)| text.replace(mark, value))
    }

    /// The folder that the var `data` names: the nearest that holds images and queries, or that of the images' file.
    fn data_folder(&self) -> &Path {
        let DataSet { train_images, train_queries, valid_images, valid_queries } = &self.data;
        let folder = if train_images.path.is_dir() { train_images.path.as_path() } else { &self.root };
        let of_file = train_images.path.parent().filter(|_| !train_images.path.is_dir());
        let has_all = |folder: &&Path| {
            [train_queries, valid_images, valid_queries].iter().all(|data| data.path.starts_with(folder))
        };
        of_file.or_else(|| folder.ancestors().find(has_all)).unwrap_or(&self.root)
    }

    /// The path as `folder` sees it: relative within the project, so that its clones work, else absolute.
    fn seen_from(&self, folder: &Path, path: &Path) -> String {
        let path = if path.starts_with(&self.root) { relative(folder, path) } else { path.to_owned() };
        path.to_string_lossy().into_owned()
    }

    /// The workflow's path and text: it lies in the root of the git repository, of which the project may be a part.
    fn workflow(&self) -> (PathBuf, String) {
        let repository = self.root.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&self.root);
        let mut text = WORKFLOW_TEXT.to_owned();
        if let Some(url) = &self.program_git {
            text = text.replace(UNNAMED_PROGRAM, &format!("--git {url}"));
        }
        let below = relative(repository, &self.root).to_string_lossy().into_owned();
        if !below.is_empty() {
            text = text
                .replace(
                    "jobs:\n",
                    &format!("defaults: {{ run: {{ working-directory: {} }} }}\njobs:\n", in_yaml(&below)),
                )
                .replace("path: artifacts", &format!("path: {}", in_yaml(&format!("{below}/artifacts"))))
                .replace("path: check.xml", &format!("path: {}", in_yaml(&format!("{below}/check.xml"))))
                .replace("hashFiles('check.md')", &format!("hashFiles('{below}/check.md')"));
        }
        (repository.join(WORKFLOW), text)
    }
}

/// A text as a YAML scalar in double quotes, which are those of JSON.
fn in_yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes a file where there is none, whole or not at all.
fn create(path: PathBuf, text: &str) -> Result<ScaffoldFile, Failure> {
    let is_new = create_new(&path, text.as_bytes()).map_err(|error| cannot(&path, &error))?;
    Ok(ScaffoldFile { path, is_new })
}
