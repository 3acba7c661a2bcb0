import { LowrankError } from '@lowrank/errors';

/**
 * Whether indices of kernels are guarded. `on`: one outside its array is made harmless, as WebGPU demands; `off`: all
 * are trusted, which is faster.
 */
export type Robustness = 'on' | 'off';

/** Without it NVIDIA's drivers hide 16-bit floats from Dawn. */
const always = ['vulkan_enable_f16_on_nvidia'];

/**
 * What costs GPUs registers and instructions: clamped indices, workgroup memory that begins as zero, and division that
 * minds zero. Every kernel's tests run without needing them (`testing/boundsCheck.ts`), and no kernel divides by a
 * number that may be zero.
 */
const guards = [
  'disable_robustness',
  'disable_workgroup_init',
  'disable_polyfills_on_integer_div_and_mod',
  'use_vulkan_memory_model',
];

/** Dawn rounds timestamps to 0.1 ms, longer than many kernels take: for pages, against spying. */
const never = ['timestamp_quantization'];

/** The options of Dawn's `create()`: those given, with the features that Lowrank asks for among theirs. */
export function dawnOptionsOf(options: readonly string[], robustness: Robustness = 'on'): string[] {
  const others = options.filter((each) => !/^(enable|disable)-dawn-features=/.test(each));
  const enabled = [...new Set([...always, ...(robustness === 'off' ? guards : []), ...listed(options, 'enable')])];
  const disabled = [...never.filter((name) => !enabled.includes(name)), ...listed(options, 'disable')];
  return [...others, `enable-dawn-features=${enabled.join(',')}`, `disable-dawn-features=${disabled.join(',')}`];
}

function listed(options: readonly string[], which: 'enable' | 'disable'): string[] {
  const prefix = `${which}-dawn-features=`;
  return options.filter((each) => each.startsWith(prefix)).flatMap((each) => each.slice(prefix.length).split(','));
}

/**
 * The tiers whose kernels' tests run with every index checked, in CI. Products of `f16` have the indices of
 * `subgroups`, word for word (`testing/tierIndices.test.ts`); what it keeps in 16 bits runs so on lavapipe.
 */
export const boundedTiers: readonly string[] = ['registers', 'portable', 'subgroups', 'f16'];

/** The error where somebody else decides about guards. */
export function cannotTrust(who: string): LowrankError {
  return new LowrankError({
    code: 'webgpu.robustness',
    what: 'robustness off',
    expected: `Dawn in Node, and kernels whose indices are tested: Lowrank’s own, of ${boundedTiers.join(', ')}`,
    got: who,
    remedy: 'Leave robustness on.',
  });
}
