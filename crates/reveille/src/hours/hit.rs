/// The least `k` such that `lo <= step * k mod modulus <= hi`, if there is one; it is less than the
/// modulus. For `step < modulus` and `lo <= hi < modulus`.
///
/// Euclid's algorithm on `(modulus, step)`, so at most 60 levels deep for a week of µs (Lamé's five a
/// digit). Where no multiple of the step lies in `lo..=hi` itself, `step * k = modulus * turns + x`
/// with `x` in `lo..=hi`, so `modulus * turns mod step` lies in `-hi..=-lo mod step`: the same
/// question, with the step as the modulus. The least `turns` has the least `k`.
pub(super) fn first_hit(step: u64, modulus: u64, lo: u64, hi: u64) -> Option<u64> {
    if step == 0 {
        return (lo == 0).then_some(0);
    }
    let direct = lo.div_ceil(step);
    if direct <= hi / step {
        return Some(direct);
    }
    // No multiple of the step in between, so neither remainder is 0 and they are in order.
    let turns = first_hit(modulus % step, step, step - hi % step, step - lo % step)?;
    let reached = u128::from(modulus) * u128::from(turns) + u128::from(lo);
    // Less than the modulus, so it fits.
    Some(reached.div_ceil(u128::from(step)) as u64)
}

#[cfg(test)]
mod tests {
    use super::first_hit;

    /// Every question there is for small moduli, against trying each `k`.
    #[test]
    fn equals_brute_force_for_all_small_moduli() {
        for modulus in 1..=36 {
            for step in 0..modulus {
                for lo in 0..modulus {
                    for hi in lo..modulus {
                        let hit = |k: &u64| (lo..=hi).contains(&(step * k % modulus));
                        let found = first_hit(step, modulus, lo, hi);
                        assert_eq!(
                            found,
                            (0..modulus).find(hit),
                            "{step} * k mod {modulus} in {lo}..={hi}"
                        );
                    }
                }
            }
        }
    }

    /// At the size of a week in microseconds: what is found is a hit. That it is the first one was
    /// shown above; the largest products are made here.
    #[test]
    fn does_not_overflow_at_the_size_of_a_week() {
        let week = 7 * 86_400_000_000_u64;
        for step in [1, 2, week / 2, week / 2 + 1, week - 2, week - 1, 373_793_557_129] {
            for lo in [1, 2, week / 3, week - 1] {
                let Some(k) = first_hit(step, week, lo, lo) else {
                    assert!(
                        step % 2 == 0,
                        "{step} is coprime to the week, or lo is not its multiple"
                    );
                    continue;
                };
                assert!(k < week);
                assert_eq!(u128::from(step) * u128::from(k) % u128::from(week), u128::from(lo));
            }
        }
    }
}
