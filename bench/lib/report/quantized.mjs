import { megabytes, number, quartiles, spread, table } from './table.mjs';

export function renderQuantized({ products, steps }) {
  return [renderProducts(products), ...steps.map(renderSteps)];
}

/** A ratio by wall time, and by CPU time where that was measured. */
const times = (ratio, byCpuTime) => [spread(ratio), byCpuTime === undefined ? '' : number(byCpuTime, 2)];

function renderProducts(products) {
  const rows = products.map(({ case: name, form, size: [m, k, n], device, weight, ms, gflops, ...ratio }) => [
    `${name} (${form})`,
    `${m}×${k}×${n}`,
    device,
    weight,
    number(ms.median, 3),
    number(gflops),
    String(ms.count),
    ...times(ratio.against16, ratio.byCpuTime),
  ]);
  return [
    'Products over codes. × 16 bits: time over that of bf16 in the same rounds, above 1 where bf16 is ' +
      'faster [quartiles of the rounds]',
    table([['product', 'M×K×N', 'device', 'weight', 'ms', 'GFLOP/s', 'rounds', '× 16 bits', 'by CPU time'], ...rows]),
  ].join('\n');
}

const stepsHead = [
  'base',
  'ms/step',
  'quartiles',
  'steps',
  '× LoRA',
  'by CPU time',
  'quantized matrices',
  'of 16 bits',
  'whole model',
  'of 16 bits',
  'peak memory',
  'first loss',
];

function renderSteps({ device, model, results }) {
  const rows = results.map((result) => [
    result.name,
    number(result.msPerStep.median),
    quartiles(result.msPerStep),
    String(result.msPerStep.count),
    ...times(result.against16, result.byCpuTime),
    megabytes(result.matrixBytes),
    number(result.matrixShare, 4),
    megabytes(result.modelBytes),
    number(result.modelShare, 4),
    megabytes(result.peakBytes),
    number(result.firstLoss, 5),
  ]);
  return [
    `QLoRA beside LoRA on ${device}: a Llama of random weights, hidden ${model.hidden}, MLP ` +
      `${model.intermediate}, ${model.layers} ${model.layers === 1 ? 'layer' : 'layers'}, ` +
      `${model.batch}×${model.length} tokens, r = 8 on all linear layers`,
    table([stepsHead, ...rows]),
    'wanted: × LoRA at most 1.10 (on a software adapter: as measured), quantized matrices at most 0.285 ' +
      'of 16 bits, 0.26 double',
  ].join('\n');
}
