/**
 * WGSL of `f16Bits` and `bf16Bits`: the 16-bit pattern of an f32, rounded to nearest even by hand, since
 * `pack2x16float` may round either way and leaves overflow open. Needs `nonFinite`.
 */
export const halfBits = `
fn bf16Bits(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  if (isNan(v)) { return (bits >> 16u) | 0x40u; }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}
fn f16Bits(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude < 0x33000001u) { return sign; }
  var shift = 13u;
  var mantissa = magnitude - 0x38000000u;
  if (magnitude < 0x38800000u) { shift = 126u - (magnitude >> 23u); mantissa = (magnitude & 0x7fffffu) | 0x800000u; }
  let kept = mantissa >> shift;
  let rest = mantissa & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  return sign | (kept + select(0u, 1u, rest > half || (rest == half && (kept & 1u) == 1u)));
}
`;
