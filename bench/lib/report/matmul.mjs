import { number, spread, table } from './table.mjs';

export function renderMatmul({ results }) {
  const rows = results.map(({ case: name, size: [m, k, n], who, gflops, bestGflops, ms, againstPeer }) => [
    name,
    `${m}×${k}×${n}`,
    who,
    number(gflops),
    number(bestGflops),
    number(ms.median, 3),
    String(ms.count),
    againstPeer === undefined ? '' : spread(againstPeer),
    againstPeer?.byCpuTime === undefined ? '' : number(againstPeer.byCpuTime, 2),
  ]);
  const claim = results.filter(
    ({ who, case: name, againstPeer }) => who === 'cpu-1' && name.startsWith('512³') && againstPeer !== undefined,
  );
  const verdict = claim
    .map(
      ({ form, againstPeer: { ratio, byCpuTime } }) =>
        `${form} ${number(ratio, 2)}× (${number(byCpuTime, 2)}× by CPU time)`,
    )
    .join(', ');
  return [
    'Matmul, f32. × jax-js: their time over ours in the same rounds, above 1 where ours is faster [quartiles ' +
      'of the rounds]',
    table([['case', 'M×K×N', 'who', 'GFLOP/s', 'best', 'ms', 'rounds', '× jax-js', 'by CPU time'], ...rows]),
    ...(claim.length === 0 ? [] : [`one core against jax-js's Wasm at 512³ (wanted: 2× for each): ${verdict}`]),
  ].join('\n');
}
