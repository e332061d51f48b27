//! Pickles of every protocol give the same values, and hostile ones cost little.

use super::*;
use std::time::{Duration, Instant};

fn parsed(bytes: &[u8]) -> Result<Pickle, PickleError> {
    parse(&mut &bytes[..])
}

/// A value as text, for comparisons.
fn text(values: &Values, id: ValueId) -> String {
    let list = |ids: &[ValueId]| ids.iter().map(|id| text(values, *id)).collect::<Vec<_>>().join(", ");
    let pairs = |items: &[(ValueId, ValueId)]| {
        items.iter().map(|(key, value)| format!("{}: {}", text(values, *key), text(values, *value))).collect::<Vec<_>>()
    };
    match values.get(id) {
        Value::Opaque => "-".into(),
        Value::Integer(n) => n.to_string(),
        Value::Long(n) => n.to_string(),
        Value::Text(letters) => values.text(*letters).to_owned(),
        Value::Tuple(items) => format!("({})", list(items)),
        Value::List(items) => format!("[{}]", list(items)),
        Value::Dict(items) => format!("{{{}}}", pairs(items).join(", ")),
        Value::Global(name) => values.text(*name).to_owned(),
        Value::Object(object) => format!("<{}>", values.text(object.class)),
        Value::Storage(storage) => format!("storage {} of {}", values.text(storage.key), storage.n_numbers),
        Value::Tensor(tensor) => format!("tensor {:?} by {:?} from {}", tensor.shape, tensor.strides, tensor.offset),
        Value::Unreadable(reason) => format!("unreadable {reason:?}"),
    }
}

fn value(bytes: &[u8]) -> String {
    let pickle = parsed(bytes).unwrap_or_else(|error| panic!("{error} in {bytes:?}"));
    text(&pickle.values, pickle.root)
}

#[test]
fn every_protocol_says_the_same() {
    // `{"a": 1, "b": [2, (3, -4)], "c": 5000000000}`, as `pickletools.dis` shows them.
    for pickle in [
        b"(dp0\nVa\np1\nI1\nsVb\np2\n(lp3\nI2\na(I3\nI-4\ntp4\nasVc\np5\nL5000000000L\ns.".as_slice(),
        b"}q\x00(X\x01\x00\x00\x00aq\x01K\x01X\x01\x00\x00\x00bq\x02]q\x03(K\x02(K\x03J\xfc\xff\xff\xfftq\x04eX\x01\x00\
          \x00\x00cq\x05L5000000000L\nu.",
        b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01U\x01bq\x02]q\x03(K\x02K\x03J\xfc\xff\xff\xff\x86q\x04eX\
          \x01\x00\x00\x00cq\x05\x8a\x05\x00\xf2\x05*\x01u.",
        b"\x80\x04\x95\x2d\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94]\x94(K\x02K\
          \x03J\xfc\xff\xff\xff\x86\x94e\x8c\x01c\x94\x8a\x05\x00\xf2\x05*\x01u.",
    ] {
        assert_eq!(value(pickle), "{a: 1, b: [2, (3, -4)], c: 5000000000}");
    }
}

#[test]
fn what_no_tensor_depends_on_is_passed_over() {
    for (pickle, expected) in [
        (b"N.".as_slice(), "-"),
        (b"\x88.", "-"),
        (b"G\x3f\xf0\x00\x00\x00\x00\x00\x00.", "-"),
        (b"F1.5\n.", "-"),
        (b"\x8f(K\x01K\x02\x90.", "-"),
        (b"(K\x01\x91.", "-"),
        (b"C\x03abc.", "-"),
        (b"\x96\x03\x00\x00\x00\x00\x00\x00\x00abc.", "-"),
        (b"\x8c\x08datetime\x8c\x04date\x93C\x04\x07\xe8\x01\x01\x85R.", "<datetime.date>"),
        (b"ccollections\nCounter\n}\x85R.", "<collections.Counter>"),
        (b"cargparse\nNamespace\n)\x81}(X\x01\x00\x00\x00aK\x01ub.", "<argparse.Namespace>"),
        (b"cargparse\nNamespace\n)}\x92.", "<argparse.Namespace>"),
        (b"(cos\nsystem\nX\x02\x00\x00\x00lso.", "<os.system>"),
        (b"(X\x02\x00\x00\x00lsios\nsystem\n.", "<os.system>"),
        (b"\x82\x07)R.", "<extension.7>"),
        (b"cbuiltins\nset\n]\x85R.", "<builtins.set>"),
        (b"Pid\n.", "-"),
        (b"K\x01Q.", "-"),
        (b"ccollections\ndefaultdict\ncbuiltins\nlist\n\x85R(X\x01\x00\x00\x00aK\x01u.", "{a: 1}"),
        (b"ccollections\nOrderedDict\n](](X\x01\x00\x00\x00aK\x01ee\x85R.", "{a: 1}"),
        (b"0K\x01.", ""),
        (b"(K\x01K\x021K\x02.", "2"),
        (b"K\x0120.", "1"),
        (b"S'abc'\n.", "abc"),
        (b"Vr\\u91cd\\u5e86\n.", "r重庆"),
        (b"\x8a\x00.", "0"),
        (b"\x8a\x01\xff.", "-1"),
        (b"\x8b\x0a\x00\x00\x00\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "119547037146038801333356"),
    ] {
        match parsed(pickle) {
            Ok(pickle) => assert_eq!(text(&pickle.values, pickle.root), expected, "{expected}"),
            Err(_) => assert_eq!(expected, "", "{pickle:?}"),
        }
    }
}

#[test]
fn pytorchs_functions_make_tensors() {
    let storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ";
    let arguments = [storage.as_slice(), b"K\x01K\x02K\x03\x86K\x01K\x02\x86"].concat();
    let of = |function: &str, rest: &[u8]| {
        [format!("ctorch._utils\n{function}\n(").as_bytes(), &arguments, rest, b"tR"].concat()
    };
    let whole = |part: &[u8]| [part, b"."].concat();
    let tensor = "tensor [2, 3] by [1, 2] from 1";
    let plain = of("_rebuild_tensor_v2", b"\x89ccollections\nOrderedDict\n)R");
    assert_eq!(value(&whole(&plain)), tensor);
    assert_eq!(value(&whole(&of("_rebuild_tensor", b""))), tensor);
    assert_eq!(value(&whole(&of("_rebuild_tensor_v3", b"\x89Nctorch\nuint16\n"))), tensor);
    let parameter = [b"ctorch._utils\n_rebuild_parameter\n(".as_slice(), &plain, b"\x89NtR."].concat();
    assert_eq!(value(&parameter), tensor);
    let typed = [
        b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n(".as_slice(),
        &arguments,
        b"\x89Nt}tR.",
    ];
    assert_eq!(value(&typed.concat()), tensor);
    for (function, rest) in [
        ("_rebuild_sparse_tensor", b"".as_slice()),
        ("_rebuild_qtensor", b""),
        ("_rebuild_tensor_v2", b"\x89N}(X\x03\x00\x00\x00negK\x01u"),
    ] {
        let found = value(&whole(&of(function, rest)));
        assert!(found.starts_with("unreadable"), "{function}: {found}");
    }
}

#[test]
fn what_is_no_pickle_is_an_error() {
    for pickle in [
        b"".as_slice(),
        b".",
        b"K",
        b"K\x01",
        b"\x80\x06K\x01.",
        b"\x00.",
        b"(.",
        b"t.",
        b"K\x01\x86.",
        b"h\x00.",
        b"}(K\x01u.",
        b"X\xff\xff\xff\xffabc",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
        b"cos\nsystem\nK\x01R.",
        b"K\x01(0".as_slice(),
        b"\x97.",
        b"gx\n.",
        b"(o.",
        b"K\x01K\x02\x93.",
    ] {
        assert!(parsed(pickle).is_err(), "{pickle:?}");
    }
}

/// Each of these took minutes or gigabytes in a reader that copies, recurses or searches.
#[test]
fn hostile_pickles_cost_little() {
    let deep = |open: &[u8], close: &[u8]| [open.repeat(300_000), close.repeat(300_000), b".".to_vec()].concat();
    let tuples = [b"K\x01q\x00".to_vec(), b"h\x00h\x00h\x00\x87q\x00".repeat(100_000), b".".to_vec()].concat();
    let dicts =
        [b"}q\x00".to_vec(), b"}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00uq\x00".repeat(30_000), b".".to_vec()];
    let wide = [b"}(".to_vec(), b"K\x01K\x02".repeat(300_000), b"u.".to_vec()].concat();
    let long_list = [b"](".to_vec(), b"(K\x01K\x02t".repeat(100_000), b"e\x85q\x00".to_vec()].concat();
    let copies = b"ccollections\nOrderedDict\nh\x00R0".repeat(10_000);
    let start = Instant::now();
    for (what, pickle) in [
        ("deep tuples", deep(b")", b"\x85")),
        ("tuples of tuples", tuples),
        ("dicts of dicts", dicts.concat()),
        ("many items", wide),
        ("a list in itself", b"]q\x00h\x00a.".to_vec()),
        ("marks", [b"(".repeat(1_000_000), b".".to_vec()].concat()),
        ("copies of a list", [long_list, copies].concat()),
        ("too many steps", b"N0".repeat(5_000_000)),
    ] {
        let before = Instant::now();
        let _ = parsed(&pickle);
        assert!(before.elapsed() < Duration::from_secs(5), "{what}: {:?}", before.elapsed());
    }
    assert!(start.elapsed() < Duration::from_secs(20));
}
