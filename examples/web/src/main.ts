import './style.css';
import { isLowrankError } from 'lowrank/worker';
import { builtIn } from './builtIn';
import { LossCurve } from './curve';
import type { RunEvent, RunRequest } from './run';
import { run } from './run';

function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${kind.name} #${id}`);
}

const form = element('form', HTMLFormElement);
const rows = element('rows', HTMLTextAreaElement);
const prompt = element('prompt', HTMLTextAreaElement);
const device = element('device', HTMLSelectElement);
const trainButton = element('train', HTMLButtonElement);
const stopButton = element('stop', HTMLButtonElement);
const progress = element('progress', HTMLProgressElement);
const problem = element('problem', HTMLParagraphElement);
const [status, numbers, texts, before, after, downloads, links] = [
  'status',
  'numbers',
  'texts',
  'before',
  'after',
  'downloads',
  'links',
].map((id) => element(id, HTMLElement));
const numberInputs = { rank: 'rank', steps: 'steps', batchSize: 'batchSize', learningRate: 'learningRate' } as const;
const input = (id: string): HTMLInputElement => element(id, HTMLInputElement);
const curve = new LossCurve(element('curve', HTMLDivElement));

let stopping: AbortController | undefined;
let deviceText = '';
let urls: string[] = [];

const show = (place: HTMLElement | undefined, text: string): void => {
  if (place !== undefined) place.textContent = text;
};
const reveal = (place: HTMLElement | undefined, visible: boolean): void => {
  if (place !== undefined) place.hidden = !visible;
};

function usesBuiltIn(): boolean {
  return new FormData(form).get('model') === 'builtIn';
}

async function modelFiles(): Promise<File[]> {
  if (usesBuiltIn()) return builtIn.model();
  return ['folder', 'files'].flatMap((id) => [...(input(id).files ?? [])]);
}

async function request(): Promise<RunRequest> {
  const number = (id: keyof typeof numberInputs): number => input(id).valueAsNumber;
  const chosen = device.value;
  return {
    model: await modelFiles(),
    rows: rows.value,
    rank: number('rank'),
    steps: number('steps'),
    batchSize: number('batchSize'),
    learningRate: number('learningRate'),
    device: chosen === 'webgpu' || chosen === 'cpu' ? chosen : 'auto',
    prompt: prompt.value,
  };
}

function setRunning(running: boolean): void {
  trainButton.disabled = running;
  stopButton.disabled = !running;
}

function clear(): void {
  for (const url of urls) URL.revokeObjectURL(url);
  urls = [];
  curve.clear();
  links?.replaceChildren();
  for (const place of [numbers, before, after, problem]) show(place, '');
  for (const place of [texts, downloads, problem]) reveal(place, false);
  reveal(progress, true);
  progress.removeAttribute('value');
}

async function start(): Promise<void> {
  clear();
  setRunning(true);
  show(status, 'Reading the model …');
  stopping = new AbortController();
  try {
    await run({ request: await request(), tell: hear, signal: stopping.signal });
  } catch (error) {
    fail(sentenceOf(error));
  }
}

function sentenceOf(error: unknown): string {
  if (isLowrankError(error)) return error.message;
  return `Something went wrong that should not: ${error instanceof Error ? error.message : String(error)}`;
}

function hear(event: RunEvent): void {
  switch (event.type) {
    case 'status':
      show(status, [event.text, deviceText].filter(Boolean).join(' '));
      break;
    case 'device':
      deviceText = event.text;
      break;
    case 'before':
      reveal(texts, true);
      show(before, event.text);
      show(after, '…');
      break;
    case 'step':
      progress.max = event.steps;
      progress.value = event.step;
      curve.add(event.step, event.loss);
      show(status, `Training on ${deviceText}`);
      show(
        numbers,
        `step ${event.step} of ${event.steps} · loss ${event.loss.toFixed(4)} · ` +
          `${Math.round(event.tokensPerSecond)} tokens/s`,
      );
      break;
    case 'after':
      show(after, event.text);
      break;
    case 'done':
      offer(event.files);
      show(status, `Trained ${event.steps} steps in ${event.seconds.toFixed(1)} s. ${deviceText}`);
      setRunning(false);
  }
}

function fail(text: string): void {
  reveal(problem, true);
  show(problem, text);
  show(status, 'Stopped.');
  reveal(progress, false);
  setRunning(false);
}

/** A link to each file of the adapter. */
function offer(files: Readonly<Record<string, Uint8Array>>): void {
  reveal(downloads, true);
  for (const [name, bytes] of Object.entries(files)) {
    const url = URL.createObjectURL(new Blob([bytes.slice().buffer]));
    urls.push(url);
    const link = document.createElement('a');
    link.href = url;
    link.download = name;
    link.textContent = name;
    const size = document.createElement('span');
    size.textContent = ` ${bytes.length < 10_000 ? `${bytes.length} bytes` : `${(bytes.length / 1000).toFixed(0)} kB`}`;
    const item = document.createElement('li');
    item.append(link, size);
    links?.append(item);
  }
}

async function fillIn(): Promise<void> {
  show(element('builtInName', HTMLElement), builtIn.name);
  for (const id of Object.keys(numberInputs) as (keyof typeof numberInputs)[]) input(id).value = String(builtIn[id]);
  [prompt.value, rows.value] = await Promise.all([builtIn.prompt(), builtIn.rows()]);
}

form.addEventListener('change', () => reveal(element('pickers', HTMLDivElement), !usesBuiltIn()));
form.addEventListener('submit', (event) => {
  event.preventDefault();
  void start();
});
stopButton.addEventListener('click', () => {
  stopping?.abort();
  show(status, 'Finishing the step in progress …');
});
input('rowsFile').addEventListener('change', ({ target }) => {
  const file = target instanceof HTMLInputElement ? target.files?.[0] : undefined;
  void file?.text().then((text) => (rows.value = text));
});
fillIn().catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)));
