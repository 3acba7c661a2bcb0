// The page of benchmarks, from the files in `bench/results`: what was measured, with the machine and the command.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parts } from '../../bench/lib/lecture/parts.mjs';
import { ninetyPercent, readLines, tableOf } from '../../bench/lib/lecture/results.mjs';
import { render } from '../../bench/lib/report.mjs';
import { root } from '../../scripts/lib/paths.mjs';

const folder = 'bench/results';
const repository = 'https://github.com/lowrank/lowrank/blob/main';

/** Writes `docs/benchmarks.md`. */
export function writeBenchmarks() {
  const results = readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => ({ name, report: JSON.parse(readFileSync(join(root, folder, name), 'utf8')) }));
  const measured = results.filter(({ report }) => report.devices !== undefined);
  const studies = results.filter(({ report }) => report.study !== undefined);
  const page = [
    head,
    training(measured),
    products(measured),
    quantized(measured),
    ...measured.map(whole),
    studyPart(studies),
    realModels(),
  ];
  writeFileSync(join(root, 'docs/benchmarks.md'), page.join('\n'));
}

const head = `---
editLink: false
lastUpdated: false
---

# Benchmarks

Every table here is made from a file in [\`bench/results\`](https://github.com/lowrank/lowrank/tree/main/bench/results) when
the site is built; none is typed. \`pnpm bench\` makes such a file on your machine
([how it measures](https://github.com/lowrank/lowrank/blob/main/bench/README.md)). Times are medians; contenders take turns
within one run.

::: warning No real GPU has been measured yet
The results are of two cores of a server's CPU, and of SwiftShader, a GPU in software that is far slower than any real
one. What they show is how Lowrank stands beside others on the same cores, and what quantization costs.
:::
`;

const row = (/** @type {string[]} */ ...cells) => `| ${cells.join(' | ')} |`;
const one = (/** @type {number} */ value, digits = 0) =>
  value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits });

function training(results) {
  const rows = results.flatMap(({ report }) => {
    const { workload, results: ours = [], pytorch = [] } = report.training ?? {};
    if (workload === undefined) return [];
    const lines = [
      ...ours.map(({ device, ...each }) => [named(report, device), each]),
      ...pytorch.map(({ threads, ...each }) => [`PyTorch, ${threads} thread${threads > 1 ? 's' : ''}`, each]),
    ];
    return lines.map(([who, { msPerStep, tokensPerSecond }]) =>
      row(when(report), `${workload.name}, r = ${workload.r}`, who, one(msPerStep.median), one(tokensPerSecond)),
    );
  });
  return `## A training step

LoRA on all linear layers, 8 rows a step, forward, backward, clipping and AdamW.

| measured | model and rows | device | ms/step | tokens/s |
| --- | --- | --- | ---: | ---: |
${rows.join('\n')}
`;
}

function products(results) {
  const rows = results.flatMap(({ report }) =>
    (report.matmul?.results ?? [])
      .filter(({ againstPeer, case: size }) => againstPeer !== undefined && size.startsWith('512³'))
      .map(({ case: size, who, gflops, againstPeer }) =>
        row(
          when(report),
          size,
          named(report, who),
          one(gflops, 1),
          `${one(againstPeer.ratio, 2)} × ${againstPeer.peer}`,
        ),
      ),
  );
  return `## A product of two matrices

512 × 512 × 512 in f32. NN, NT and TN say which operand lies transposed.

| measured | product | device | GFLOP/s | beside |
| --- | --- | --- | ---: | --- |
${rows.join('\n')}
`;
}

function quantized(results) {
  const rows = results.flatMap(({ report }) =>
    (report.quantized?.steps ?? []).flatMap(({ device, model, results: steps }) =>
      steps.map(({ name, msPerStep, against16, matrixShare, peakBytes }) =>
        row(
          when(report),
          `${named(report, device)}, hidden ${one(model.hidden)}`,
          name,
          one(msPerStep.median),
          one(against16.ratio, 2),
          one(matrixShare, 3),
          `${one(peakBytes / 1e6, 1)} MB`,
        ),
      ),
    ),
  );
  return `## QLoRA beside LoRA

A step over one block of a Llama: the same adapter over a 16-bit base and over 4-bit codes.

| measured | device and block | base | ms/step | × 16-bit | bytes of the matrices, × 16-bit | peak |
| --- | --- | --- | ---: | ---: | ---: | ---: |
${rows.join('\n')}
`;
}

/** The day and the processor of a run. */
const when = ({ date, machine }) =>
  `${date.slice(0, 10)}, ${machine.cpu.replace(/\(R\)|\(TM\)| Processor/g, '').trim()}`;

const named = (report, id) => {
  const { description = id } = report.devices.find((device) => device.id === id) ?? {};
  return description.replace(/ driver .*(?= \(software\))/, '').replaceAll('|', '\\|');
};

function whole({ name, report }) {
  const parts = ['matmul', 'training', 'quantized', 'serving'].filter((part) => report[part] !== undefined);
  return `## ${report.date.slice(0, 10)}: ${parts.join(', ')}

[${name}](${repository}/${folder}/${name})

\`\`\`text
${render(report).replaceAll(/ +$/gm, '')}
\`\`\`
`;
}

function studyPart(studies) {
  const parts = studies.map(({ name, report }) => {
    const rows = report.rows.map(({ label, trainable_parameters: trained, trainable_share: share, scores }) => {
      const shown = report.metrics.map((metric) =>
        scores?.[metric] === undefined ? '–' : one(scores[metric].mean, 3),
      );
      return `| ${label} | ${one(trained)} | ${one(100 * share, 2)} % | ${shown.join(' | ')} |`;
    });
    return `### ${report.data.split('/').at(-2)}, ${report.model.split('/').at(-1)}

${report.steps} steps of ${report.batch_size} rows each, the learning rate of each method tuned
([${name}](${repository}/${folder}/${name})).

| method | trained parameters | share | ${report.metrics.join(' | ')} |
| --- | ---: | ---: | ${report.metrics.map(() => '---:').join(' | ')} |
${rows.join('\n')}
`;
  });
  return `## Methods beside each other

\`lowrank compare\` trained every method on the same rows with the same budget ([how it is fair](./comparing)).

${parts.join('\n')}`;
}

/** The tables of `bench/lecture.mjs`, as far as its runs have come. */
function realModels() {
  const lines = readLines(join(root, folder, 'lecture.jsonl'));
  const tables = Object.entries(parts).flatMap(([name, part]) => tableOf(name, part, lines) ?? []);
  const d90 = ninetyPercent(lines);
  return `## Methods on real models

MiniLM (22.7 million parameters) and SmolLM2-135M-Instruct, one epoch or less, rates chosen on validation rows; scores
in percent, mean ± standard deviation where there are several seeds. One accuracy on 1,000 rows has a standard error of
about a point, on the 1,784 of Amazon 0.8. Beside them PyTorch with transformers and PEFT, one seed. Times are
processor time of training, on one thread. \`node bench/lecture.mjs\` goes on with what is missing
([lecture.jsonl](${repository}/${folder}/lecture.jsonl) has every run).

${tables.map((table) => `### ${table}\n`).join('\n')}${
    d90 === undefined ? '' : `\nd₉₀, the least dimension with 90% of full fine-tuning's accuracy: ${d90}.\n`
  }`;
}
