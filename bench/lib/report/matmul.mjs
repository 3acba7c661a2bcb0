import { peersOf } from './peers.mjs';
import { number, spread, table } from './table.mjs';

export function renderMatmul({ results }) {
  const peers = peersOf(results.filter(({ peer }) => peer).map(({ who }) => who));
  const rows = results.map(({ case: name, size: [m, k, n], who, gflops, bestGflops, ms, againstPeers = [] }) => [
    name,
    `${m}×${k}×${n}`,
    who,
    number(gflops),
    number(bestGflops),
    number(ms.median, 3),
    String(ms.count),
    ...peers.flatMap((library) => {
      const one = againstPeers.find(({ peer }) => peer.startsWith(library));
      return one === undefined ? ['', ''] : [spread(one), one.byCpuTime === undefined ? '' : number(one.byCpuTime, 2)];
    }),
  ]);
  const claim = results.filter(
    ({ who, case: name, againstPeers = [] }) =>
      who === 'cpu-1' && name.startsWith('512³') && againstPeers.some(({ peer }) => peer.startsWith('jax-js')),
  );
  const verdict = claim
    .map(({ form, againstPeers }) => {
      const { ratio, byCpuTime } = againstPeers.find(({ peer }) => peer.startsWith('jax-js'));
      return `${form} ${number(ratio, 2)}× (${number(byCpuTime, 2)}× by CPU time)`;
    })
    .join(', ');
  return [
    'Matmul, f32. × a peer: its time over ours in the same rounds, above 1 where ours is faster [quartiles of the ' +
      'rounds]',
    table([
      [
        'case',
        'M×K×N',
        'who',
        'GFLOP/s',
        'best',
        'ms',
        'rounds',
        ...peers.flatMap((name) => [`× ${name}`, 'by CPU time']),
      ],
      ...rows,
    ]),
    ...(claim.length === 0 ? [] : [`one core against jax-js's Wasm at 512³ (wanted: 2× for each): ${verdict}`]),
  ].join('\n');
}
