import { number, quartiles, spread, table } from './table.mjs';

const head = ['tokens', 'who', 'ms/step', 'quartiles', 'rounds', '× ours', 'by CPU time', 'loss off by', 'gradients'];

export function renderBlock({ results }) {
  const rows = results.map(({ case: name, who, ms, ours, byCpuTime, agreement }) => [
    name,
    who,
    number(ms.median),
    quartiles(ms),
    String(ms.count),
    ours === undefined ? '' : spread(ours),
    byCpuTime === undefined ? '' : number(byCpuTime, 2),
    agreement === undefined ? '' : agreement.loss.toExponential(0),
    agreement === undefined ? '' : agreement.gradient.toExponential(0),
  ]);
  return [
    "A training step of a Llama's block (hidden 576, LoRA r=8 on all linear layers, Adam), f32. × ours: its time " +
      'over ours in the same rounds [quartiles of the rounds]; losses and gradients are compared before',
    table([head, ...rows]),
  ].join('\n');
}
