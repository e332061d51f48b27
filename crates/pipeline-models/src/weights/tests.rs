//! Checkpoints in every dialect, and the faults of bad ones.

use std::fs;

use super::*;

#[test]
fn a_pickle_holds_the_same_numbers_as_safetensors() {
    let pickle = read_tensors(&fixtures::path("tiny/bert/pytorch_model.bin")).unwrap();
    let safetensors = fixtures::tensors("tiny/bert/model.safetensors");
    assert_eq!(pickle, safetensors);
}

#[test]
fn what_is_no_checkpoint_is_named_for_what_it_is() {
    let whole = fs::read(fixtures::path("tiny/resnet/model.safetensors")).unwrap();
    let whole_pickle = fs::read(fixtures::path("tiny/bert/pytorch_model.bin")).unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let mut header_too_long = whole.clone();
    header_too_long[3] = 200;
    let mut header_damaged = whole.clone();
    header_damaged[10] = b'{';
    let cases: [(&[u8], &str); 8] = [
        (b"", "is empty"),
        (pointer.as_bytes(), "is a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page"),
        (&whole[..whole.len() - 1], "is cut off"),
        (&header_too_long, "is cut off"),
        (&header_damaged, "damaged safetensors header"),
        (&whole_pickle[..whole_pickle.len() / 2], "is cut off"),
        (b"just some text", "is neither a safetensors file nor a PyTorch checkpoint"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (bytes, named) in cases {
        let path = folder.path().join("weights.bin");
        fs::write(&path, bytes).unwrap();
        let error = read_tensors(&path).unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
}

#[test]
fn numbers_of_any_floating_point_type_are_read() {
    use ::safetensors::{Dtype, serialize_to_file, tensor::TensorView};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let (half, brain) = ([0x00, 0x3e, 0x00, 0xc0], [0xc0, 0x3f, 0x00, 0xc0]);
    let double: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = |dtype, bytes| TensorView::new(dtype, vec![2], bytes).unwrap();
    let tensors =
        [("f16", view(Dtype::F16, &half)), ("bf16", view(Dtype::BF16, &brain)), ("f64", view(Dtype::F64, &double))];
    serialize_to_file(tensors, None, &path).unwrap();
    for (name, tensor) in read_tensors(&path).unwrap() {
        assert_eq!(tensor, PlainTensor { shape: vec![2], values: vec![1.5, -2.0] }, "{name}");
    }
}

/// A pickle that would create a file if it were executed.
#[test]
fn a_pickle_executes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, evidence) = (folder.path().join("evil.pth"), folder.path().join("executed"));
    fs::write(&path, format!("cos\nsystem\n(S'touch {}'\ntR.", evidence.display())).unwrap();
    read_tensors(&path).unwrap_err();
    assert!(!evidence.exists());
}
