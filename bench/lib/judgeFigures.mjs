const amd = {
  vendor: 'amd',
  lanes: { subgroupMinSize: 32, subgroupMaxSize: 64 },
  matrices: [{ m: 16, n: 16, k: 16 }],
  workgroupMemory: 65_536,
  /** Of the matrix units, in its assembly. */
  instruction: 'v_wmma',
  registers: 'VGPRs',
  warps: 'Subgroups per SIMD',
  cycles: 'Latency',
  spills: ['Spilled VGPRs', 'Spilled SGPRs'],
  work: 'cycles',
};
const nvidia = {
  vendor: 'nvidia',
  lanes: { subgroupMinSize: 32, subgroupMaxSize: 32 },
  matrices: [
    { m: 16, n: 16, k: 16 },
    { m: 16, n: 8, k: 16 },
  ],
  workgroupMemory: 49_152,
  instruction: 'hmma',
  unit: 'NVIDIA, warps an SM',
  registers: 'Number of GPRs',
  warps: 'Max warps/SM',
  cycles: 'Static cycle count',
  spills: ['Spills to memory'],
  work: 'cycles',
};

/** What the compiler of each chip tells of a kernel, by the names that its driver gives. */
export const chips = {
  navi31: { ...amd, unit: 'AMD RDNA 3, waves a SIMD' },
  gfx1201: { ...amd, unit: 'AMD RDNA 4, waves a SIMD' },
  ampere: nvidia,
  blackwell: nvidia,
  m1: {
    vendor: 'apple',
    lanes: { subgroupMinSize: 32, subgroupMaxSize: 32 },
    matrices: [],
    workgroupMemory: 32_768,
    unit: 'Apple, threads a core',
    registers: 'GPRs',
    warps: 'Threads',
    cycles: 'ALU',
    spills: ['Spills'],
    work: 'ALU instructions',
  },
  a740: {
    vendor: 'qualcomm',
    lanes: { subgroupMinSize: 64, subgroupMaxSize: 64 },
    matrices: [],
    workgroupMemory: 32_768,
    unit: 'Qualcomm, waves a core',
    registers: 'Registers used',
    warps: 'Max Waves Per Core',
    cycles: 'Instruction Count',
    spills: ['STP Count'],
    work: 'instructions',
  },
};

/**
 * Reads the lines `label<TAB>name=value;name=value…` that gpu-judges' compile.mjs prints for one chip.
 *
 * @param {keyof typeof chips} chip
 * @param {string} text
 */
export function readFigures(chip, text) {
  const { registers, warps, cycles, spills } = chips[chip];
  return text.split('\n').flatMap((line) => {
    const [label, rest] = line.split('\t');
    if (rest === undefined) return [];
    if (rest.startsWith('FAILED')) return [{ label, failure: rest, registers: 0, warps: 0, cycles: 0, spills: 0 }];
    const said = new Map(rest.split(';').map((part) => /** @type {[string, string]} */ (part.split('='))));
    const number = (name) => {
      const value = Number(said.get(name));
      if (!said.has(name) || Number.isNaN(value))
        throw new Error(`${chip} does not tell “${name}” of ${label}: ${rest}`);
      return value;
    };
    const spilled = spills.reduce((sum, name) => sum + number(name), 0);
    const figures = { registers: number(registers), warps: number(warps), cycles: number(cycles), spills: spilled };
    return [{ label, failure: undefined, ...figures }];
  });
}

/** The kind of a kernel: its label without its sizes, so `matmul NT block4 tile 64x64`. */
export function familyOf(label) {
  return [...new Set(label.split(' + ').map(familyOfOne))].join(' + ');
}

/** @param {string} label */
function familyOfOne(label) {
  return label
    .replace(/ \d+x\d+x\d+([+|]\d+)*/, (_, more = '') => (more.startsWith('+') ? ' sum' : ''))
    .replace(/ \d+x\d+(?= |$)/, (size) => (label.startsWith('matmul') ? size : ''))
    .replace(/ heads of /, ' ')
    .replace(/sum of \d+ parts/, 'sum of parts')
    .replace(/^(elementwise|reduce).*/, '$1');
}
