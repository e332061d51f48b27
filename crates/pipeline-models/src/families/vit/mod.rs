//! Vision transformers without a text side: ViT and DINOv2 as transformers saves them, and timm's ViTs.

pub(super) mod hub;
pub(super) mod timm;
