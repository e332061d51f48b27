//! Evaluates the functions and classes that a pickle calls: to PyTorch's tensors, dicts, or an opaque object.

use super::error::PickleError;
use super::machine::Machine;
use super::value::{Storage, Tensor, Unreadable, Value, ValueId, Values};
use crate::weights::element::Element;

/// The deepest nesting of function calls: deeper than any tensor's.
const MAX_DEPTH: usize = 4;

/// The result of `function` for its arguments.
///
/// # Errors
/// When too much has been copied.
pub(super) fn call(
    machine: &mut Machine<'_>,
    function: ValueId,
    arguments: &[ValueId],
) -> Result<ValueId, PickleError> {
    let (mut function, mut arguments) = (function, arguments.to_vec());
    for _ in 0..MAX_DEPTH {
        let values = &machine.values;
        let &Value::Global(name) = values.get(function) else { return Ok(Values::OPAQUE) };
        let text = values.text(name);
        let argument = |idx: usize| arguments.get(idx).copied().unwrap_or(Values::OPAQUE);
        match text {
            "collections.OrderedDict" | "builtins.dict" | "__builtin__.dict" => return dict(machine, argument(0)),
            "collections.defaultdict" => return dict(machine, argument(1)),
            "torch.Size" => return Ok(argument(0)),
            "torch.nn.parameter.Parameter" | "torch.nn.parameter.Buffer" => return Ok(argument(0)),
            _ => {}
        }
        let Some(rebuild) = rebuilding(text) else { return Ok(machine.object(name)) };
        match rebuild {
            "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3" => {
                let made = tensor(values, rebuild, &arguments);
                return Ok(machine.values.add(made));
            }
            "_rebuild_parameter" | "_rebuild_parameter_with_state" => return Ok(argument(0)),
            // The same with a class of its own.
            "_rebuild_from_type" | "_rebuild_from_type_v2" => {
                let inner = values.as_items(argument(2)).unwrap_or_default().to_vec();
                function = argument(0);
                arguments = inner;
                machine.spend(arguments.len())?;
            }
            _ => return Ok(machine.values.add(Value::Unreadable(Unreadable::Kind(name)))),
        }
    }
    Ok(Values::OPAQUE)
}

/// The function by which PyTorch rebuilds tensors, if this is one.
fn rebuilding(function: &str) -> Option<&str> {
    let name = function.strip_prefix("torch.")?.rsplit('.').next()?;
    name.starts_with("_rebuild_").then_some(name)
}

/// A dict of the pairs that Python 2 passes to the class, or an empty one.
fn dict(machine: &mut Machine<'_>, pairs: ValueId) -> Result<ValueId, PickleError> {
    let items = match machine.values.get(pairs) {
        Value::Dict(items) => items.len(),
        _ => machine.values.as_items(pairs).map_or(0, <[_]>::len),
    };
    machine.spend(items)?;
    let values = &machine.values;
    let items = match values.get(pairs) {
        Value::Dict(items) => items.clone(),
        _ => {
            let pair = |id: &ValueId| match values.as_items(*id) {
                Some(&[key, value]) => Some((key, value)),
                _ => None,
            };
            values.as_items(pairs).unwrap_or_default().iter().filter_map(pair).collect()
        }
    };
    Ok(machine.values.add(Value::Dict(items)))
}

/// The arguments are: storage, offset, shape, strides, whether it needs a gradient, hooks, then metadata or (v3) the
/// number type and metadata.
fn tensor(values: &Values, function: &str, arguments: &[ValueId]) -> Value {
    let wrong = |why| Value::Unreadable(Unreadable::Description(why));
    let Some((&[storage, offset, shape, strides], rest)) = arguments.split_first_chunk::<4>() else {
        return wrong("is described by too few arguments");
    };
    if !matches!(values.get(storage), Value::Storage(_)) {
        return wrong("has no storage");
    }
    let lengths = |id| values.as_items(id)?.iter().map(|id| values.as_count(*id)).collect::<Option<Box<[u64]>>>();
    let (Some(offset), Some(shape), Some(strides)) = (values.as_count(offset), lengths(shape), lengths(strides)) else {
        return wrong("has an offset, a shape or strides that are no counts");
    };
    let has_type = function == "_rebuild_tensor_v3";
    let metadata = rest.get(if has_type { 3 } else { 2 });
    if metadata.is_some_and(|id| values.as_dict(*id).is_some_and(|items| !items.is_empty())) {
        return wrong("is conjugated or negated lazily");
    }
    let element = match (has_type, rest.get(2).map(|id| values.get(*id))) {
        (false, _) => None,
        (true, Some(Value::Global(name))) => Some(element_of_type(values.text(*name))),
        (true, _) => return wrong("has no type"),
    };
    Value::Tensor(Box::new(Tensor { storage, element, offset, shape, strides }))
}

/// The object outside the pickle with this `id`.
///
/// An id is `("storage", class, key, device, count)`, before PyTorch 1.6 with a sixth item for a part of it, or
/// `("module", class, file, code)`.
pub(super) fn persistent(values: &mut Values, id: ValueId) -> ValueId {
    let items = values.as_items(id).unwrap_or_default();
    match (items.first().and_then(|kind| values.as_text(*kind)), items) {
        (Some("module"), [_, class, ..]) => *class,
        (Some("storage"), &[_, class, key, _, count, ref rest @ ..]) => {
            match storage(values, class, key, count, rest.first().copied()) {
                Some(storage) => values.add(Value::Storage(Box::new(storage))),
                None => Values::OPAQUE,
            }
        }
        _ => Values::OPAQUE,
    }
}

fn storage(values: &Values, class: ValueId, key: ValueId, count: ValueId, part: Option<ValueId>) -> Option<Storage> {
    let (&Value::Global(class), &Value::Text(key)) = (values.get(class), values.get(key)) else { return None };
    let part = match part.and_then(|part| values.as_items(part)) {
        None => None,
        Some(&[_, start, length]) => Some((values.as_count(start)?, values.as_count(length)?)),
        Some(_) => return None,
    };
    let element = element_of_storage(values.text(class))?;
    Some(Storage { key, element, n_numbers: values.as_count(count)?, part })
}

/// The number type in a storage of a class such as `torch.FloatStorage` or `torch.cuda.HalfStorage`.
fn element_of_storage(class: &str) -> Option<Element> {
    let other = |name, bytes| Element::Other { name, bytes };
    let name = class.strip_prefix("torch.")?.rsplit('.').next()?;
    Some(match name.strip_suffix("Storage")? {
        "Float" => Element::F32,
        "Double" => Element::F64,
        "Half" => Element::F16,
        "BFloat16" => Element::Bf16,
        "Long" => other("I64", 8),
        "Int" => other("I32", 4),
        "Short" => other("I16", 2),
        "Char" => other("I8", 1),
        "Byte" => other("U8", 1),
        "Bool" => other("BOOL", 1),
        "ComplexFloat" => other("C64", 8),
        "ComplexDouble" => other("C128", 16),
        "QInt32" => other("QI32", 4),
        "QInt8" => other("QI8", 1),
        "QUInt8" | "QUInt4x2" | "QUInt2x4" => other("QU8", 1),
        "Untyped" => other("bytes without a type", 1),
        _ => return None,
    })
}

/// The number type of a tensor whose storage has none.
fn element_of_type(name: &str) -> Element {
    let other = |name, bytes| Element::Other { name, bytes };
    match name.strip_prefix("torch.").unwrap_or(name) {
        "float32" | "float" => Element::F32,
        "float64" | "double" => Element::F64,
        "float16" | "half" => Element::F16,
        "bfloat16" => Element::Bf16,
        "uint16" => other("U16", 2),
        "uint32" => other("U32", 4),
        "uint64" => other("U64", 8),
        _ => other("numbers of another type", 1),
    }
}
