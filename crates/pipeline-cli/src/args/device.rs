//! The argument of `--device`: where tensors live, and on which cards.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use pipeline_core::Device;

/// The most cards of a range.
const MAX_CARDS: u16 = 1024;

/// The device of the tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceArg {
    /// The device.
    pub device: Device,
    /// The numbers of its cards, sorted; empty unless the user named some.
    pub cards: Vec<u16>,
}

impl DeviceArg {
    /// The device that a text names, such as `cuda`, `cuda:1`, `cuda:0,2` or `cuda:0-3`.
    fn parse(text: &str) -> Option<Self> {
        let (name, numbers) = text.split_once(':').map_or((text, None), |(name, numbers)| (name, Some(numbers)));
        let device = match name {
            "cpu" => Device::Cpu,
            "cuda" | "gpu" => Device::Cuda,
            "wgpu" | "vulkan" | "metal" => Device::Wgpu,
            _ => return None,
        };
        match numbers {
            None => Some(Self { device, cards: Vec::new() }),
            Some(_) if device == Device::Cpu => None,
            Some(numbers) => Some(Self { device, cards: cards(numbers)? }),
        }
    }
}

/// The numbers of a list of numbers and ranges.
fn cards(list: &str) -> Option<Vec<u16>> {
    let mut cards = BTreeSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let number = |text: &str| text.parse::<u16>().ok().filter(|number| is_number(text) && *number < MAX_CARDS);
        let (first, last) = number(first).zip(number(last))?;
        if first > last {
            return None;
        }
        cards.extend(first..=last);
    }
    Some(cards.into_iter().collect())
}

/// Parses a [`DeviceArg`]; its help and its completion have the names without numbers.
#[derive(Debug, Clone, Copy)]
pub struct DeviceParser;

impl TypedValueParser for DeviceParser {
    type Value = DeviceArg;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<DeviceArg, clap::Error> {
        let text = StringValueParser::new().parse_ref(command, arg, value)?;
        DeviceArg::parse(&text).ok_or_else(|| {
            let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
            let name = arg.map(ToString::to_string).unwrap_or_default();
            error.insert(ContextKind::InvalidArg, ContextValue::String(name));
            error.insert(ContextKind::InvalidValue, ContextValue::String(text));
            let valid = ["cpu", "cuda", "cuda:1", "cuda:0,1", "cuda:0-3", "wgpu", "wgpu:1"].map(str::to_owned);
            error.insert(ContextKind::ValidValue, ContextValue::Strings(valid.into()));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value =
            |name, help, aliases: &[&'static str]| PossibleValue::new(name).help(help).aliases(aliases.to_vec());
        let values = [
            value("cpu", "The processor", &[]),
            value(
                "cuda",
                "All CUDA devices; `cuda:1` is the second one alone, and `cuda:0,2` and `cuda:0-3` are several",
                &["gpu"],
            ),
            value(
                "wgpu",
                "One device of Vulkan or Metal, of AMD, Intel, Apple or NVIDIA; `wgpu:1` is the second one",
                &["vulkan", "metal"],
            ),
        ];
        Some(Box::new(values.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_named_by_numbers_lists_and_ranges() {
        let parsed = |text: &str| DeviceArg::parse(text).map(|arg| (arg.device, arg.cards));
        for (text, device, cards) in [
            ("cpu", Device::Cpu, &[][..]),
            ("cuda", Device::Cuda, &[]),
            ("gpu:0", Device::Cuda, &[0]),
            ("cuda:3,0-1,1", Device::Cuda, &[0, 1, 3]),
            ("vulkan:2", Device::Wgpu, &[2]),
        ] {
            assert_eq!(parsed(text), Some((device, cards.to_vec())), "{text}");
        }
        for text in ["", "tpu", "cpu:0", "cuda:", "cuda:a", "cuda:-1", "cuda:2-1", "cuda:0,", "cuda:+1", "cuda:70000"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
