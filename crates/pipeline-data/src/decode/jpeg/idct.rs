//! The inverse cosine transform of libjpeg (`jidctint.c`, "islow"), bit for bit.

const CONST_BITS: u32 = 13;
const PASS1_BITS: u32 = 2;

/// Multiplies a block of coefficients by its quantisation table and writes its 8 x 8 samples to `samples`, whose rows
/// are `stride` apart.
pub(super) fn inverse(coefficients: &[i16; 64], quantization: &[u16; 64], samples: &mut [u8], stride: usize) {
    let dequantized = |at: usize| i32::from(coefficients[at]) * i32::from(quantization[at]);
    if coefficients[1..].iter().all(|&coefficient| coefficient == 0) {
        let sample = to_sample(descale(dequantized(0) << PASS1_BITS, PASS1_BITS + 3));
        samples.chunks_mut(stride).take(8).for_each(|row| row[..8].fill(sample));
        return;
    }
    let mut columns = [0; 64];
    for column in 0..8 {
        let input = std::array::from_fn(|row| dequantized(row * 8 + column));
        if input[1..] == [0; 7] {
            (0..8).for_each(|row| columns[row * 8 + column] = input[0] << PASS1_BITS);
            continue;
        }
        let output = transform(input, CONST_BITS - PASS1_BITS);
        (0..8).for_each(|row| columns[row * 8 + column] = output[row]);
    }
    for (row, output) in columns.as_chunks::<8>().0.iter().zip(samples.chunks_mut(stride)) {
        let values = transform(*row, CONST_BITS + PASS1_BITS + 3);
        output[..8].copy_from_slice(&values.map(to_sample));
    }
}

/// One dimension of the transform, `n_bits` fewer at the end. The factors are those of `jidctint.c`, times 2^13.
#[inline(always)]
fn transform(input: [i32; 8], n_bits: u32) -> [i32; 8] {
    let even = (input[2] + input[6]) * 4433;
    let (even_2, even_3) = (even - input[6] * 15137, even + input[2] * 6270);
    let (even_0, even_1) = ((input[0] + input[4]) << CONST_BITS, (input[0] - input[4]) << CONST_BITS);
    let evens = [even_0 + even_3, even_1 + even_2, even_1 - even_2, even_0 - even_3];

    let [z1, z2] = [(input[7] + input[1]) * -7373, (input[5] + input[3]) * -20995];
    let [z3, z4] = [input[7] + input[3], input[5] + input[1]];
    let z5 = (z3 + z4) * 9633;
    let [z3, z4] = [z3 * -16069 + z5, z4 * -3196 + z5];
    let odds = [
        input[1] * 12299 + z1 + z4,
        input[3] * 25172 + z2 + z3,
        input[5] * 16819 + z2 + z4,
        input[7] * 2446 + z1 + z3,
    ];
    std::array::from_fn(|at| {
        let value = if at < 4 { evens[at] + odds[at] } else { evens[7 - at] - odds[7 - at] };
        descale(value, n_bits)
    })
}

fn descale(value: i32, n_bits: u32) -> i32 {
    (value + (1 << (n_bits - 1))) >> n_bits
}

fn to_sample(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}
