//! The training of the last layer of both towers of a tiny Chinese-CLIP against PyTorch's, in f64.

use std::collections::BTreeMap;

use pipeline_kernels::{InstructionSet, Matrix, TokenMatrix, TokenNumbers};
use serde::Deserialize;

use super::clip;
use super::goldens::{CLIP, config, golden_json, levels, path};
use super::pooling::{ImagePooling, Pooling};
use crate::gpu::reference;
use crate::heads::{Head, Heads, Linear, embed_features};
use crate::tower::cpu::{CpuImageTower, CpuTextTower};
use crate::tower::{DenseWeights, ImagePool, ImageTower, LayerWeights, NormWeights, Top, TopPool};
use crate::train::steps::{self, Learner};
use crate::train::{PairedFeatures, TopRate, TrainOptions, Trained, processor_learner};
use crate::weights::{PlainTensor, fixtures};

/// PyTorch in f32 differs from itself in f64 by 8e-7.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    batch: usize,
    epochs: usize,
    temperature: f64,
    losses_f64: Vec<f64>,
}

/// The tokens that enter the last layer of each tower, and these layers.
fn trunks() -> [(TokenMatrix, Top); 2] {
    let file = path("chinese_clip").join("config.json");
    let weights = [path("chinese_clip").join("model.safetensors")];
    let config = config(&file);
    let text = clip::chinese::text(&config, &file, Some(Pooling::Cls)).unwrap();
    let image = clip::hub::image(&config, &file, Some(ImagePooling::Cls)).unwrap();
    let texts = || text.tower(&weights).unwrap();

    let ids: Vec<Vec<u32>> = serde_json::from_value(golden_json("chinese_clip")["text"]["ids"].clone()).unwrap();
    let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let tokens = CpuTextTower::new(texts().trunk(1).unwrap(), InstructionSet::best()).forward(&ids);
    let tokens = TokenMatrix::new(text.dim, ids.iter().map(|ids| ids.len()), TokenNumbers::Single(tokens));
    let text = (tokens, Top::of(texts(), 1).unwrap());

    let mut trunk: ImageTower = image.tower(&weights).unwrap();
    let (layers, final_norm) = (vec![trunk.layers.pop().unwrap()], trunk.final_norm.take());
    let top = Top { shape: trunk.shape, layers, final_norm, pool: TopPool::First, head: Vec::new() };
    trunk.pool = ImagePool::Tokens;
    let (levels, [n_images, height, width]) = levels("chinese_clip", "levels");
    let [mean, std] = CLIP;
    let pixel = |(idx, level): (usize, &u8)| (f32::from(*level) / 255.0 - mean[idx % 3]) / std[idx % 3];
    let pixels: Vec<f32> = levels.iter().enumerate().map(pixel).collect();
    let patches = CpuImageTower::new(trunk, InstructionSet::best()).forward(&pixels, height, width);
    let n_tokens = patches.len() / (n_images * image.dim);
    let patches = TokenMatrix::new(image.dim, vec![n_tokens; n_images], TokenNumbers::Single(patches));
    [text, (patches, top)]
}

/// The head of a side as it was at the start.
fn head(golden: &BTreeMap<String, PlainTensor>, side: &str, top: Top) -> Head {
    let PlainTensor { shape, values } = &golden[&format!("initial.{side}_head.weight")];
    let weight = Matrix::new(shape[0], shape[1], values.clone());
    let output = Linear { weight, bias: golden[&format!("initial.{side}_head.bias")].values.clone() };
    Head { top: Some(top), ..output.into() }
}

/// The numbers of a head under the names of the golden, but for the bias of keys.
fn named(side: &str, head: &Head, names: [&str; 8]) -> Vec<(String, Vec<f32>)> {
    let layer = &head.top.as_ref().unwrap().layers[0];
    let LayerWeights { query, key, value, attention_output, intermediate, output, .. } = layer;
    let of_dense = |name: &str, weight: &DenseWeights| {
        [(format!("{name}.weight"), weight.weight.clone()), (format!("{name}.bias"), weight.bias.clone())]
    };
    let of_norm = |name: &str, weight: &NormWeights| {
        [(format!("{name}.weight"), weight.scale.clone()), (format!("{name}.bias"), weight.shift.clone())]
    };
    let denses = [query, key, value, attention_output, intermediate, output];
    let denses = denses.into_iter().zip(names).flat_map(|(weight, name)| of_dense(name, weight));
    let norms = [&layer.attention_norm, &layer.output_norm].into_iter().zip(&names[6..]);
    let layers = denses.chain(norms.flat_map(|(weight, name)| of_norm(name, weight)));
    let layers = layers.filter(|(name, _)| name != &format!("{}.bias", names[1]));
    let layers = layers.map(|(name, values)| (format!("final.{side}_layer.{name}"), values));
    let of_head = [("weight", head.output.weight.values.clone()), ("bias", head.output.bias.clone())];
    layers.chain(of_head.map(|(name, values)| (format!("final.{side}_head.{name}"), values))).collect()
}

fn check(what: &str, trained: &Trained, tokens: &TokenMatrix, golden: &Golden) {
    let expected = fixtures::tensors("ladder/training/unfreeze.safetensors");
    assert_eq!(trained.losses.len(), golden.losses_f64.len());
    let losses = trained.losses.iter().zip(&golden.losses_f64);
    let of_losses = losses.map(|(step, loss)| (f64::from(step.loss) - loss).abs()).fold(0.0, f64::max);
    let heads = trained.heads.as_ref().unwrap();
    let text = [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
        "attention.output.LayerNorm",
        "output.LayerNorm",
    ];
    let image = [
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.out_proj",
        "mlp.fc1",
        "mlp.fc2",
        "layer_norm1",
        "layer_norm2",
    ];
    let named: Vec<_> =
        named("text", &heads.text, text).into_iter().chain(named("image", &heads.image, image)).collect();
    assert_eq!(named.len(), expected.keys().filter(|name| name.starts_with("final.")).count());
    let difference = |(name, values): &(String, Vec<f32>)| fixtures::max_difference(values, &expected[name].values);
    let of_weights = f64::from(named.iter().map(difference).fold(0.0, f32::max));
    let embedded = embed_features(tokens.into(), Some(&heads.text), true, 2).unwrap();
    let of_embeddings = f64::from(fixtures::max_difference(&embedded.values, &expected["text_embeddings"].values));
    assert!(
        of_losses <= TOLERANCE && of_weights <= TOLERANCE && of_embeddings <= TOLERANCE,
        "{what}: losses ± {of_losses:.1e}, weights ± {of_weights:.1e}, embeddings ± {of_embeddings:.1e}"
    );
}

#[test]
fn the_last_layers_of_both_towers_learn_as_in_pytorch() {
    let bytes = std::fs::read(path("training/unfreeze.json")).unwrap();
    let golden: Golden = serde_json::from_slice(&bytes).unwrap();
    let tensors = fixtures::tensors("ladder/training/unfreeze.safetensors");
    let [(texts, text), (images, image)] = trunks();
    let start = Heads { text: head(&tensors, "text", text), image: head(&tensors, "image", image) };
    let pairs: Vec<_> = (0..texts.n_rows()).map(|row_idx| (row_idx, row_idx % images.n_rows())).collect();
    let data = PairedFeatures { text: (&texts).into(), images: (&images).into(), pairs: &pairs };
    let options = TrainOptions {
        text_top: TopRate { lr: 5e-4, decay: 1.0 },
        image_top: TopRate { lr: 1e-4, decay: 1.0 },
        batch_size: golden.batch,
        epochs: golden.epochs,
        temperature: golden.temperature,
        ..TrainOptions::default()
    };
    let run =
        |learner: &mut dyn Learner| steps::run(pairs.len(), &options, None, learner, &mut |_| true, &|| false).unwrap();
    for instructions in InstructionSet::available() {
        let mut learner = processor_learner(&data, &options, Some(start.clone()), instructions);
        check(&format!("{instructions:?}"), &run(&mut *learner), &texts, &golden);
    }
    check("the framework", &run(&mut *reference::learner(&data, &options, Some(start))), &texts, &golden);
}
