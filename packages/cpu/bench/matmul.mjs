/**
 * node bench/matmul.mjs [rounds]: 512³ in f32 on one thread, ours beside jax-js's Wasm backend (npm @jax-js/jax, where
 * installed), taken in turns so that both see the same machine. Prints GFLOP/s (best and median) and the ratio of the
 * medians; then the skinny products of LoRA and products on all cores.
 */
import { runBundled } from './bundle.mjs';

const { prepareProduct } = await runBundled(new URL('./matmul.ts', import.meta.url));
const rounds = Number(process.argv[2] ?? 40);
const size = 512;
const kinds = { NN: [false, false], NT: [false, true], TN: [true, false] };

const peer = await import('@jax-js/jax').catch(() => undefined);
if (peer === undefined) console.log('jax-js: not run (npm @jax-js/jax is not installed here)');
const theirs = peer === undefined ? {} : await prepareJax(peer);

for (const [name, [transposeA, transposeB]] of Object.entries(kinds)) {
  const ours = await prepareProduct({ threads: 1 }, { m: size, n: size, k: size }, transposeA, transposeB);
  const runs = { ours: ours.run, ...(theirs[name] === undefined ? {} : { 'jax-js': theirs[name] }) };
  const times = Object.fromEntries(Object.keys(runs).map((who) => [who, []]));
  for (let round = 0; round < rounds + 5; round++) {
    for (const [who, run] of Object.entries(runs)) {
      const start = performance.now();
      await run();
      if (round >= 5) times[who].push(performance.now() - start);
    }
  }
  const figures = Object.entries(times).map(([who, list]) => [who, rate(list, 2 * size ** 3)]);
  const ratio =
    figures.length < 2
      ? ''
      : `ratio ${(figures[0][1].median / figures[1][1].median).toFixed(2)} (best ` +
        `${(figures[0][1].best / figures[1][1].best).toFixed(2)})`;
  const speeds = figures.map(
    ([who, { best, median }]) => `${who} ${median.toFixed(1)} GFLOP/s (best ${best.toFixed(1)})`,
  );
  console.log(`${name} ${size}³  ${speeds.join('  ')}  ${ratio}`);
  if (name === 'NN') console.log(`  ours: ${ours.description}`);
  ours.dispose();
}

const skinny = [
  ['792×8×192 NT', 792, 8, 192, false, true],
  ['8×192×792 TN', 8, 192, 792, true, false],
  ['512×8×792 TN', 512, 8, 792, true, false],
  ['1×2048×2048 NT', 1, 2048, 2048, false, true],
];
for (const [name, m, n, k, transposeA, transposeB] of [
  ...skinny,
  ['512³ NN', 512, 512, 512, false, false],
  ['1024³ NT', 1024, 1024, 1024, false, true],
]) {
  const results = [];
  for (const threads of [1, undefined]) {
    const ours = await prepareProduct({ threads }, { m, n, k }, transposeA, transposeB);
    const list = [];
    for (let round = 0; round < rounds + 5; round++) {
      const start = performance.now();
      await ours.run();
      if (round >= 5) list.push(performance.now() - start);
    }
    results.push(`${threads === 1 ? 'one thread' : 'all'} ${rate(list, 2 * m * n * k).median.toFixed(1)}`);
    ours.dispose();
  }
  console.log(`${name}  ${results.join('  ')} GFLOP/s`);
}

function rate(list, flops) {
  const sorted = [...list].sort((a, b) => a - b);
  return { best: flops / sorted[0] / 1e6, median: flops / sorted[sorted.length >> 1] / 1e6 };
}

async function prepareJax(jax) {
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  const { numpy: np } = jax;
  const matrix = () =>
    np.array(Float32Array.from({ length: size * size }, () => Math.random() - 0.5)).reshape([size, size]);
  const [a, b] = [matrix(), matrix()];
  const products = {
    NN: jax.jit((x, y) => np.matmul(x, y)),
    NT: jax.jit((x, y) => np.matmul(x, y.transpose())),
    TN: jax.jit((x, y) => np.matmul(x.transpose(), y)),
  };
  return Object.fromEntries(
    Object.entries(products).map(([name, product]) => [
      name,
      async () => {
        const result = product(a.ref, b.ref);
        await result.blockUntilReady();
        result.dispose();
      },
    ]),
  );
}
