/**
 * What matrix products round their operands to: nothing (`f32`), or 16 bits (`mixed`), in which activations are then
 * kept. Sums, the residual stream, the arithmetic of norms and softmax, the optimizer and the weights of adapters are
 * f32 in both.
 */
export const precisions = ['f32', 'mixed'] as const;
/** What matrix products round their operands to: a name of `precisions`. */
export type Precision = (typeof precisions)[number];
