import { number, spread, table } from './table.mjs';

export function renderServing({ results, ...scene }) {
  return results.flatMap((result) => [renderContenders(scene, result), renderSwitching(result)]);
}

const contendersHead = [
  'model',
  'ms/step',
  '× base',
  'by CPU time',
  'operations',
  'ms/token',
  '× base',
  'by CPU time',
  'best',
  '× base',
  'rounds',
  'loss',
];

function renderContenders({ workload, r, targetModules, newTokens }, { device, tokensPerStep, contenders }) {
  const rows = contenders.map((one) => [
    one.name,
    number(one.msPerStep.median, 2),
    spread(one.stepAgainstBase),
    number(one.stepAgainstBase.byCpuTime, 2),
    number(one.flops, 3),
    number(one.msPerToken.median, 3),
    spread(one.tokenAgainstBase),
    number(one.tokenAgainstBase.byCpuTime, 2),
    number(one.bestToken, 3),
    number(one.bestTokenAgainstBase, 2),
    String(one.msPerStep.count),
    number(one.loss, 5),
  ]);
  return [
    `Serving on ${device}: ${workload}, an adapter of r=${r} on ${targetModules}. A step is the loss of ` +
      `${tokensPerStep} tokens without gradients; a token, one of ${newTokens} written to one prompt`,
    table([contendersHead, ...rows]),
  ].join('\n');
}

function renderSwitching({ device, switching }) {
  const rows = switching.ways.map(({ name, msHost, msUpload, bytes }) => [
    name,
    number(msHost.median, 4),
    number(msUpload, 4),
    String(bytes),
  ]);
  return [
    `Switching in the bank on ${device}: the host's time beside the upload (wanted: below 1 ms); ` +
      `${switching.plans} plans and ${switching.buffers} buffers were made. Preparing an adapter for it took ` +
      `${number(switching.msPrepare, 2)} ms`,
    table([['switch', 'host ms', 'upload ms', 'bytes'], ...rows]),
  ].join('\n');
}
