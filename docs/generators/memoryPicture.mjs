// The picture of memory by part: a bar for each way of training, as `lowrank plan` computes it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { importSource } from '../../scripts/lib/importSource.mjs';
import { root } from '../../scripts/lib/paths.mjs';

const model = { config: 'Llama-3.2-1B', maxLength: 512, batchSize: 1 };
const lora = { ...model, r: 16, targetModules: 'all-linear' };

/** Ways of training, with what the command line calls them. */
const ways = [
  { name: 'full', options: { ...model, method: 'full' } },
  { name: 'LoRA', options: { ...lora, method: 'lora' } },
  { name: 'LoRA, checkpointing', options: { ...lora, method: 'lora', checkpointing: true } },
  { name: 'QLoRA', options: { ...lora, method: 'qlora' } },
  { name: 'QLoRA, checkpointing', options: { ...lora, method: 'qlora', checkpointing: true } },
];

const parts = [
  { name: 'frozen weights', colour: 'base', bytes: ({ weights, quantized }) => weights + quantized },
  {
    name: 'what is trained, its gradients, AdamW',
    colour: 'warm',
    bytes: (of) => of.trained + of.gradients + of.optimizer,
  },
  { name: 'activations', colour: 'low', bytes: ({ activations, other }) => activations + other },
];

const left = 170;
const width = 500;
const height = 26;
const gap = 16;

/** Writes `docs/pictures/memory.svg`. */
export async function writeMemoryPicture() {
  const { planFineTune } = await importSource('packages/lowrank/src/entries/node.ts');
  const bars = [];
  for (const { name, options } of ways) bars.push({ name, bytes: (await planFineTune(options)).bytes });
  writeFileSync(join(root, 'docs/pictures/memory.svg'), picture(bars));
}

function picture(bars) {
  const largest = Math.max(...bars.map(({ bytes }) => bytes.peak));
  const rows = bars.map(({ name, bytes }, at) => bar({ name, bytes, y: 20 + at * (height + gap), largest }));
  const below = 20 + bars.length * (height + gap) + 14;
  const key = parts.map(({ name, colour }, at) => {
    const x = [left, left + 140, left + 420][at];
    const words = text({ x: x + 20, y: below + 12, size: 13, words: name });
    return `${box({ x, y: below, width: 14, height: 14, colour })}\n${words}`;
  });
  const says = bars.map(({ name, bytes }) => `${name} ${gigabytes(bytes.peak)}`).join(', ');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 ${below + 30}" role="img" aria-labelledby="memory-title memory-desc">
  <title id="memory-title">Memory by part</title>
  <desc id="memory-desc">Peak memory of one step of Llama-3.2-1B at 512 tokens: ${says}.</desc>
${[...rows, ...key].join('\n')}
</svg>
`;
}

function bar({ name, bytes, y, largest }) {
  let x = left;
  const boxes = parts.map(({ colour, bytes: of }) => {
    const length = (of(bytes) / largest) * width;
    const made = box({ x, y, width: length, height, colour });
    x += length;
    return made;
  });
  return [
    text({ x: left - 10, y: y + 18, words: name, anchor: 'end' }),
    ...boxes,
    text({ x: x + 8, y: y + 18, words: gigabytes(bytes.peak), weight: 600 }),
  ].join('\n');
}

const gigabytes = (/** @type {number} */ bytes) => `${(bytes / 1e9).toFixed(1)} GB`;

function box({ x, y, width: wide, height: high, colour }) {
  const style = `fill: var(--picture-${colour}-soft); stroke: var(--picture-${colour})`;
  return `  <rect x="${x.toFixed(1)}" y="${y}" width="${wide.toFixed(1)}" height="${high}" style="${style}" />`;
}

function text({ x, y, words, size = 14, anchor = 'start', weight = 400 }) {
  const place = `x="${x.toFixed(1)}" y="${y}" font-size="${size}" text-anchor="${anchor}" font-weight="${weight}"`;
  return `  <text ${place}>${words}</text>`;
}
