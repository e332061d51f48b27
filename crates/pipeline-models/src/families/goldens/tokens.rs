//! The vectors of all tokens of every family that has a golden of them, and the poolings that come of them.

use pipeline_kernels::{Matrix, TokenMatrix, TokenNumbers};

use super::*;

/// The vectors of all tokens of the text `text_idx`, among all texts and alone; the first is `[CLS]`'s feature by
/// `cls`.
fn check_text_tokens(model: &str, text_idx: usize, reader: &TextReader, cls: Option<&TextReader>) {
    let (key, weights) = (format!("text_tokens_{text_idx}"), [path(model).join("model.safetensors")]);
    let expected = &fixtures::tensors(&format!("ladder/{model}.safetensors"))[&format!("{key}_f64")];
    let ids: Vec<Vec<u32>> = serde_json::from_value(golden_json(model)["text"]["ids"].clone()).unwrap();
    let n_tokens = ids[text_idx].len();
    assert_eq!(expected.shape, [n_tokens, reader.dim]);
    let n_before: usize = ids[..text_idx].iter().map(Vec::len).sum();
    let numbers = n_before * reader.dim..(n_before + n_tokens) * reader.dim;
    let check = |found: &[f32], by: &str| {
        let found = distance(&found[numbers.clone()], &expected.values, n_tokens);
        assert!(found <= TOLERANCE, "{model} {key}, {by}: {found:e}");
    };
    let reference = gpu::reference::load::<dyn TextForward>(reader.tower(&weights).unwrap());
    check(&reference.forward(&ids, 5, 1).unwrap(), "reference");
    for instructions in InstructionSet::available() {
        let tower = |reader: &TextReader| CpuTextTower::new(reader.tower(&weights).unwrap(), instructions);
        let (tokens, cls) = (tower(reader), cls.map(tower));
        let slices: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let together = tokens.forward(&slices);
        check(&together, &format!("{instructions:?}"));
        let alone = tokens.forward(&slices[text_idx..=text_idx]);
        assert_eq!(fixtures::bits(&alone), fixtures::bits(&together[numbers.clone()]), "{model} {key} alone");
        if let Some(cls) = cls {
            let feature = cls.forward(&slices[text_idx..=text_idx]);
            assert_eq!(fixtures::bits(&alone[..reader.dim]), fixtures::bits(&feature), "{model} {key}, `[CLS]`");
        }
    }
}

/// The vectors of all tokens of the image `image_idx`, given the key of its golden.
fn check_image_tokens(model: &str, (key, image_idx): (&str, usize), [mean, std]: [[f32; 3]; 2], forward: &Forward<'_>) {
    let expected = &fixtures::tensors(&format!("ladder/{model}.safetensors"))[&format!("{key}_f64")];
    let (levels, [_, height, width]) = levels(model, "levels");
    let pixel = |(idx, level): (usize, &u8)| (f32::from(*level) / 255.0 - mean[idx % 3]) / std[idx % 3];
    let pixels: Vec<f32> = levels.iter().enumerate().map(pixel).collect();
    let n_pixels = height * width * 3;
    let together = forward(&pixels, height, width);
    let alone = forward(&pixels[image_idx * n_pixels..][..n_pixels], height, width);
    assert_eq!(alone.len(), expected.values.len());
    let n_tokens = expected.values.len() / expected.shape[expected.shape.len() - 1];
    let found = distance(&alone, &expected.values, n_tokens);
    assert!(found <= TOLERANCE, "{model} {key}: {found:e}");
    let among = &together[image_idx * alone.len()..][..alone.len()];
    assert_eq!(fixtures::bits(&alone), fixtures::bits(among), "{model} {key} alone");
}

/// The same by the code for devices, on a backend for processors.
fn check_image_tokens_of_reference(
    model: &str,
    (key, image_idx): (&str, usize),
    [mean, std]: [[f32; 3]; 2],
    forward: &dyn ImageForward,
) {
    let expected = &fixtures::tensors(&format!("ladder/{model}.safetensors"))[&format!("{key}_f64")];
    let (levels, [n_images, height, width]) = levels(model, "levels");
    let pixels: Vec<&[u8]> = levels.chunks_exact(height * width * 3).collect();
    let table = &PixelTable::new(1.0 / 255.0, mean, std);
    let tokens = forward.forward(&Images { pixels: &pixels, height, width, table }, 1).unwrap();
    let of_image = &tokens[image_idx * tokens.len() / n_images..][..expected.values.len()];
    let n_tokens = expected.values.len() / expected.shape[expected.shape.len() - 1];
    let found = distance(of_image, &expected.values, n_tokens);
    assert!(found <= TOLERANCE, "{model} {key}, reference: {found:e}");
}

#[test]
fn all_tokens_of_texts() {
    use Pooling::{Cls, Tokens};
    let file = |model: &str| path(model).join("config.json");
    let (chinese, clip) = (file("chinese_clip"), file("clip"));
    let of_chinese = |pooling| clip::chinese::text(&config(&chinese), &chinese, Some(pooling)).unwrap();
    for text_idx in [0, 3, 14] {
        check_text_tokens("chinese_clip", text_idx, &of_chinese(Tokens), Some(&of_chinese(Cls)));
    }
    let of_clip = clip::hub::text(&config(&clip), &clip, Some(Tokens)).unwrap();
    assert!(!of_clip.has_class);
    check_text_tokens("clip", 3, &of_clip, None);
    for model in ["roberta", "xlm_roberta"] {
        let of_bert = |pooling| bert::roberta(&config(&file(model)), &file(model), Some(pooling)).unwrap();
        check_text_tokens(model, 14, &of_bert(Tokens), Some(&of_bert(Cls)));
    }
}

#[test]
fn all_tokens_of_images() {
    let file = |model: &str| path(model).join("config.json");
    let (chinese, vit, timm) = (file("chinese_clip"), file("vit_hf"), file("convnext_timm"));
    let tokens = Some(ImagePooling::Tokens);
    for (model, golden, pixels, reader) in [
        ("chinese_clip", ("image_tokens_0", 0), CLIP, clip::hub::image(&config(&chinese), &chinese, tokens).unwrap()),
        ("vit_hf", ("image_tokens_2", 2), HALF, vit::hub::vit(&config(&vit), &vit, tokens).unwrap()),
    ] {
        let weights = [path(model).join("model.safetensors")];
        let reference = gpu::reference::load::<dyn ImageForward>(reader.tower(&weights).unwrap());
        check_image_tokens_of_reference(model, golden, pixels, &*reference);
        for instructions in InstructionSet::available() {
            let tower = CpuImageTower::new(reader.tower(&weights).unwrap(), instructions);
            let forward = |pixels: &[f32], height, width| tower.forward(pixels, height, width);
            check_image_tokens(model, golden, pixels, &forward);
        }
    }
    let reader = convnext::ConvNeXtReader::timm(&config(&timm), &timm, tokens).unwrap();
    let weights = || {
        let mut list = open(&[path("convnext_timm").join("model.safetensors")], reader.family()).unwrap();
        reader.read(&mut list)
    };
    let (golden, reference) = (("image_map_0", 0), gpu::reference::load::<dyn ImageForward>(weights()));
    check_image_tokens_of_reference("convnext_timm", golden, IMAGENET, &*reference);
    for instructions in InstructionSet::available() {
        let encoder = convnext::CpuConvNeXt::new(weights(), instructions);
        let forward = |pixels: &[f32], height, width| encoder.forward(pixels, height, width);
        check_image_tokens("convnext_timm", golden, IMAGENET, &forward);
    }
}

/// The mean over the patches is that of their vectors, bit for bit, and the class token's vector is the first.
#[test]
fn poolings_of_images_are_those_of_their_tokens() {
    let file = |model: &str| path(model).join("config.json");
    let (vit, siglip) = (file("vit_hf"), file("siglip2"));
    let of_vit = |pooling| vit::hub::vit(&config(&vit), &vit, Some(pooling)).unwrap();
    let of_siglip = |pooling| siglip::image(&config(&siglip), &siglip, Some(pooling)).unwrap();
    let (levels, [n_images, height, width]) = levels("vit_hf", "levels");
    let pixels: Vec<f32> = levels.iter().map(|level| f32::from(*level) / 127.5 - 1.0).collect();
    for (model, of_model, has_class) in
        [("vit_hf", &of_vit as &dyn Fn(ImagePooling) -> ImageReader, true), ("siglip2", &of_siglip, false)]
    {
        let features = |pooling| {
            let reader = of_model(pooling);
            assert_eq!(reader.has_class, has_class);
            let tower = reader.tower(&[path(model).join("model.safetensors")]).unwrap();
            CpuImageTower::new(tower, InstructionSet::best()).forward(&pixels, height, width)
        };
        let (tokens, mean) = (features(ImagePooling::Tokens), features(ImagePooling::Mean));
        let dim = mean.len() / n_images;
        let n_tokens = tokens.len() / mean.len();
        let means = crate::tower::cpu::means(&tokens, dim, &vec![n_tokens; n_images], usize::from(has_class));
        assert_eq!(fixtures::bits(&means), fixtures::bits(&mean), "{model}");
        if has_class {
            let firsts: Vec<f32> = tokens.chunks(n_tokens * dim).flat_map(|image| image[..dim].to_vec()).collect();
            assert_eq!(fixtures::bits(&firsts), fixtures::bits(&features(ImagePooling::Cls)), "{model}");
        }
    }
}

/// The tokens of all texts by the Chinese-CLIP of the fixtures.
pub(crate) fn chinese_clip_tokens(instructions: InstructionSet) -> TokenMatrix {
    let file = path("chinese_clip").join("config.json");
    let reader = clip::chinese::text(&config(&file), &file, Some(Pooling::Tokens)).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(golden_json("chinese_clip")["text"]["ids"].clone()).unwrap();
    let weights = [path("chinese_clip").join("model.safetensors")];
    let tower = CpuTextTower::new(reader.tower(&weights).unwrap(), instructions);
    let vectors = tower.forward(&ids.iter().map(Vec::as_slice).collect::<Vec<_>>());
    TokenMatrix::new(reader.dim, ids.iter().map(Vec::len), TokenNumbers::Single(vectors))
}

/// The class tokens of all images by the same model.
pub(crate) fn chinese_clip_images(instructions: InstructionSet) -> Matrix {
    let file = path("chinese_clip").join("config.json");
    let reader = clip::hub::image(&config(&file), &file, Some(ImagePooling::Cls)).unwrap();
    let tower =
        CpuImageTower::new(reader.tower(&[path("chinese_clip").join("model.safetensors")]).unwrap(), instructions);
    let (levels, [n_images, height, width]) = levels("chinese_clip", "levels");
    let [mean, std] = CLIP;
    let pixel = |(idx, level): (usize, &u8)| (f32::from(*level) / 255.0 - mean[idx % 3]) / std[idx % 3];
    let pixels: Vec<f32> = levels.iter().enumerate().map(pixel).collect();
    Matrix::new(n_images, reader.dim, tower.forward(&pixels, height, width))
}
