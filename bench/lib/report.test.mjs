import { expect, test } from 'vitest';
import { render } from './report.mjs';
import { table } from './report/table.mjs';

/** A row of a table that holds these cells, whatever the gaps between them. */
const row = (...cells) =>
  new RegExp(
    cells
      .join(' ')
      .split(' ')
      .map((word) => word.replaceAll(/[.[\]]/g, '\\$&'))
      .join('\\s+'),
  );

const empty = {
  command: 'pnpm bench --only matmul',
  date: '2026-11-24T00:00:00.000Z',
  machine: { cpu: 'a processor', cores: 2, memoryGiB: 8, platform: 'linux x64', loadAverage: 0.1 },
  versions: { node: '20.20.2', lowrank: 'abc1234', jaxJs: '0.1.25', tfjs: '4.22.0', webgpu: '0.6.2' },
  devices: [{ id: 'cpu-1', description: 'WebAssembly SIMD, 1 thread' }],
  matmul: undefined,
  block: undefined,
  training: undefined,
  quantized: undefined,
  notRun: [],
  failed: [],
};

test('a table aligns the first column to the left and the others to the right', () => {
  expect(
    table([
      ['case', 'ms'],
      ['512³ NN', '1.5'],
      ['x', '100.25'],
    ]),
  ).toBe(['case         ms', '-------  ------', '512³ NN     1.5', 'x        100.25'].join('\n'));
});

test('the command and the devices come first, and what was not run or broke is named', () => {
  const text = render({
    ...empty,
    notRun: [{ what: 'PyTorch', reason: 'no Python with torch' }],
    failed: [{ what: 'training on webgpu', message: 'device lost' }],
  });
  expect(text).toContain('command   pnpm bench --only matmul');
  expect(text).toContain('cpu-1: WebAssembly SIMD, 1 thread');
  expect(text).toContain('not run: PyTorch: no Python with torch');
  expect(text).toContain('FAILED: training on webgpu: device lost');
});

test('the matmul table puts ours beside each peer, and says the one-core figure', () => {
  const common = { size: [512, 512, 512], ms: { median: 5, count: 3 }, bestGflops: 60, form: 'NN', case: '512³ NN' };
  const ours = {
    ...common,
    who: 'cpu-1',
    gflops: 53.687,
    againstPeers: [{ peer: 'jax-js wasm', ratio: 2.5, low: 2.4, high: 2.6, byCpuTime: 2.45 }],
  };
  const others = [
    { peer: 'jax-js webgpu', ratio: 4, low: 3, high: 5, byCpuTime: undefined },
    { peer: 'TensorFlow.js webgpu', ratio: 6, low: 5, high: 7, byCpuTime: 6.5 },
  ];
  const text = render({
    ...empty,
    matmul: {
      results: [
        ours,
        { ...common, who: 'jax-js wasm', gflops: 21.5, peer: true },
        { ...ours, who: 'webgpu', againstPeers: others },
        { ...common, who: 'jax-js webgpu', gflops: 13, peer: true },
        { ...common, who: 'TensorFlow.js webgpu', gflops: 9, peer: true },
      ],
    },
  });
  expect(text).toMatch(/512³ NN\s+512×512×512\s+cpu-1\s+53\.7\s+60\.0\s+5\.000\s+3\s+2\.50 \[2\.40–2\.60\]\s+2\.45/);
  expect(text).toMatch(row('rounds', '× jax-js', 'by CPU time', '× TensorFlow.js', 'by CPU time'));
  expect(text).toMatch(/webgpu\s+53\.7\s+60\.0\s+5\.000\s+3\s+4\.00 \[3\.00–5\.00\]\s+6\.00 \[5\.00–7\.00\]\s+6\.50/);
  expect(text).toContain('NN 2.50× (2.45× by CPU time)');
});

test('the block: the peers’ times over ours, and how far they agreed before', () => {
  const common = { case: '1×128', device: 'webgpu' };
  const ms = { median: 100, low: 95, high: 110, count: 5 };
  const peer = {
    ...common,
    who: 'jax-js webgpu',
    ms: { median: 400, low: 390, high: 420, count: 5 },
    agreement: { who: 'jax-js webgpu', loss: 2.4e-7, gradient: 3.1e-6 },
    ours: { ratio: 4, low: 3.9, high: 4.1 },
    byCpuTime: 3.95,
  };
  const text = render({ ...empty, block: { results: [{ ...common, who: 'webgpu', ms }, peer] } });
  expect(text).toMatch(row('1×128', 'webgpu', '100.0', '95.0–110.0', '5'));
  expect(text).toMatch(row('jax-js webgpu', '400.0', '390.0–420.0', '5', '4.00 [3.90–4.10]', '3.95', '2e-7', '3e-6'));
});

test('training shows the probe of the same device, and "not run" where there is none', () => {
  const result = {
    device: 'cpu-1',
    msPerStep: { median: 100, low: 90, high: 110 },
    tokensPerSecond: 7000,
    gflops: 40,
    firstLoss: 5.8097,
    steps: 10,
    plan: { shape: '1×768', steps: 435, flops: 15e9, arenaBytes: 61e6, sourceBytes: 14e6 },
    memory: { peakBytes: 80e6 },
    compile: { traceAndPlan: 300, prepare: 20, plans: 2 },
  };
  const training = {
    workload: { name: 'stories3M on e2e-nlg', r: 8, targetModules: 'all-linear', batchSize: 8 },
    results: [result],
    pytorch: [],
    overhead: [],
  };
  const matmul = {
    results: [
      {
        case: '512³ NN',
        who: 'cpu-1',
        form: 'NN',
        size: [512, 512, 512],
        gflops: 50,
        bestGflops: 51,
        ms: { median: 5, count: 3 },
      },
    ],
  };
  expect(render({ ...empty, training })).toMatch(
    /cpu-1\s+100\.0\s+90\.0–110\.0\s+–\s+7000\s+40\.0\s+not run\s+–\s+10\s+5\.80970\s+not run/,
  );
  expect(render({ ...empty, training, matmul })).toMatch(/40\.0\s+50\.0\s+80%/);
});

test('quantized: ratios against 16 bits, by CPU time where there is one thread, and bytes', () => {
  const ratio = { against16: { ratio: 1.04, low: 1, high: 1.1 }, byCpuTime: 1.02 };
  const products = [
    {
      device: 'cpu-1',
      case: 'its dX',
      form: 'NN',
      size: [256, 1024, 1024],
      weight: '4-bit',
      ms: { median: 9.5, count: 3 },
      gflops: 56.5,
      ...ratio,
    },
  ];
  const results = [
    {
      name: 'QLoRA, NF4',
      msPerStep: { median: 500, low: 490, high: 510, count: 5 },
      ...ratio,
      byCpuTime: undefined,
      firstLoss: 6,
      matrixBytes: 7.2e6,
      matrixShare: 0.28125,
      modelBytes: 8.3e6,
      modelShare: 0.31,
      peakBytes: 58.9e6,
    },
  ];
  const text = render({
    ...empty,
    quantized: {
      products,
      steps: [
        { device: 'cpu-2', model: { hidden: 1024, intermediate: 2816, layers: 1, batch: 1, length: 512 }, results },
      ],
    },
  });
  expect(text).toMatch(
    /its dX \(NN\)\s+256×1024×1024\s+cpu-1\s+4-bit\s+9\.500\s+56\.5\s+3\s+1\.04 \[1\.00–1\.10\]\s+1\.02/,
  );
  expect(text).toMatch(
    row('QLoRA, NF4', '500.0', '490.0–510.0', '5', '1.04 [1.00–1.10]', '7.2 MB 0.2813 8.3 MB 0.3100 58.9 MB 6.00000'),
  );
});

test('serving: each way against the base, and what a switch takes of the host', () => {
  const ratio = { ratio: 1.1, low: 1.05, high: 1.2, rounds: 5, byCpuTime: 1.07 };
  const contender = {
    name: 'merged',
    loss: 5.5,
    flops: 1,
    msPerStep: { median: 80, count: 5 },
    stepAgainstBase: ratio,
    msPerToken: { median: 2.5 },
    tokenAgainstBase: ratio,
    bestToken: 2.25,
    bestTokenAgainstBase: 1.04,
  };
  const switching = {
    ways: [{ name: 'use one', msHost: { median: 0.0123 }, msUpload: 0.001, bytes: 16 }],
    msPrepare: 3,
    plans: 0,
    buffers: 0,
  };
  const text = render({
    ...empty,
    serving: {
      workload: 'stories3M on e2e-nlg',
      r: 8,
      targetModules: 'all-linear',
      newTokens: 48,
      results: [{ device: 'cpu-1', tokensPerStep: 768, contenders: [contender], switching }],
    },
  });
  const shown = '1.10 [1.05–1.20] 1.07';
  expect(text).toMatch(row('merged', '80.00', shown, '1.000', '2.500', shown, '2.250', '1.04', '5', '5.50000'));
  expect(text).toMatch(/0 plans and 0 buffers/);
  expect(text).toMatch(/use one\s+0\.0123\s+0\.0010\s+16/);
});
