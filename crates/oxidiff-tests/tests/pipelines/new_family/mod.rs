//! The recipe for a new family in docs/architecture.md: a folder and a row are enough.

mod plain_colour;

use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForText2Image, DDIMScheduler, DiffusionPipeline, Error, Pipeline,
    Request, Scheduler, Task, register_pipeline,
};
use plain_colour::{Palette, PlainColour, PlainColourPipeline, write_checkpoint};

#[test]
fn a_family_is_a_folder_and_a_row() {
    register_pipeline::<PlainColourPipeline>("plain-colour", Task::TextToImage);
    let folder = tempfile::tempdir().unwrap();
    write_checkpoint(folder.path());
    let path = folder.path().to_str().unwrap();

    let mut pipeline = DiffusionPipeline::from_pretrained(path).unwrap();
    assert_eq!(pipeline.class_name(), "PlainColourPipeline");
    assert_eq!(pipeline.task(), Some(Task::TextToImage));
    assert!(pipeline.to_string().starts_with("PlainColourPipeline {"), "{pipeline}");
    assert!(DiffusionPipeline::class_names().contains(&"PlainColourPipeline"));
    assert!(DiffusionPipeline::all_arguments().iter().any(|argument| argument.name == "brightness"));

    let pixel = |pipeline: &mut DiffusionPipeline, request: Request| {
        pipeline.call(request).unwrap().images.into_images()[0].to_rgb8().get_pixel(0, 0).0[0]
    };
    assert_eq!(pixel(&mut pipeline, Request::new("grey")), 200);
    assert_eq!(pixel(&mut pipeline, Request::new("grey").with("brightness", 0.5)), 100);
    assert_eq!(pixel(&mut pipeline, Request::new("grey").with("mirrored", true)), 55);
    let typed = PlainColour { prompt: vec!["grey".into()], num_images_per_prompt: 3, ..Default::default() };
    assert_eq!(pipeline.call(typed).unwrap().images.into_images().len(), 3);

    let unknown = pipeline.call(Request::new("grey").with("strength", 0.5)).unwrap_err();
    assert!(matches!(unknown, Error::UnknownArgument { .. }), "{unknown}");
    assert_eq!(unknown.to_string(), "`strength`: PlainColourPipeline does not take it");
    let wrong = pipeline.call(Request::new("grey").with("brightness", "high")).unwrap_err();
    assert_eq!(wrong.to_string(), "`brightness`: must be a number, not a string");

    pipeline.set_scheduler(DDIMScheduler::from_config(pipeline.scheduler().config()).unwrap());
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let again = DiffusionPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    assert_eq!(again.components().get::<Palette>("palette"), Some(&Palette { strength: 200 }));
    let own: PlainColourPipeline = again.downcast().unwrap();
    assert_eq!(own.palette.strength, 200);

    let same = AutoPipelineForText2Image::from_pipe(&own.clone().into()).unwrap();
    assert_eq!(same.class_name(), "PlainColourPipeline");
    let error = AutoPipelineForImage2Image::from_pipe(&own.into()).unwrap_err().to_string();
    assert!(error.contains("PlainColourPipeline"), "{error}");
    assert!(PlainColourPipeline::takes("brightness") && !PlainColourPipeline::takes("width"));
}
