//! Colours of points.

/// Points of the set.
pub const INSIDE: [u8; 3] = [0, 0, 0];

/// Red, green and blue along one turn of the palette, at equal distances.
const PALETTE: [[f64; 3]; 6] = [
    [2.0, 10.0, 60.0],
    [24.0, 92.0, 186.0],
    [190.0, 232.0, 255.0],
    [255.0, 214.0, 110.0],
    [222.0, 110.0, 12.0],
    [70.0, 10.0, 30.0],
];
/// Turns of the palette per doubling of the steps.
const TURNS: f64 = 0.25;

/// The colour of a point that needs `steps` to leave.
pub fn of(steps: f64) -> [u8; 3] {
    let turn = TURNS * log2(1.0 + steps);
    let place = (turn - turn.floor()) * PALETTE.len() as f64;
    let at = (place as usize).min(PALETTE.len() - 1);
    let part = place - at as f64;
    let (from, to) = (PALETTE[at], PALETTE[(at + 1) % PALETTE.len()]);
    [0, 1, 2].map(|channel| (from[channel] + (to[channel] - from[channel]) * part) as u8)
}

/// The logarithm to base 2 of a positive number, to 3 digits behind the point. Unlike the one of the system's
/// library it gives the same bits everywhere.
pub fn log2(number: f64) -> f64 {
    const MANTISSA_BITS: u32 = 52;
    let bits = number.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - 1023;
    let mantissa = f64::from_bits(bits & ((1 << MANTISSA_BITS) - 1) | 1023 << MANTISSA_BITS);
    // ln m = 2 (t + t^3 / 3 + t^5 / 5 + ..) for t = (m - 1) / (m + 1).
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    f64::from(exponent)
        + std::f64::consts::LOG2_E * 2.0 * t * (1.0 + t2 * (1.0 / 3.0 + t2 * (0.2 + t2 / 7.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_near_the_real_one() {
        for number in [1e-9, 0.5, 1.0, 1.4, 1.999_999, 2.0, 3.0, 1_000.0, 65_537.0, 1e300] {
            assert!((log2(number) - number.log2()).abs() < 1e-3, "{number}");
        }
    }

    #[test]
    fn neighbouring_steps_have_neighbouring_colours() {
        let mut before = of(0.0);
        for steps in 1..200_000 {
            let now = of(f64::from(steps) / 100.0);
            let apart = before.iter().zip(now).map(|(a, b)| a.abs_diff(b)).max();
            assert!(apart <= Some(6), "{steps}: {before:?} {now:?}");
            before = now;
        }
    }
}
