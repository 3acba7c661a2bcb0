import { isLowrankError } from 'lowrank';
import type { FromWorker, ToWorker } from './protocol';
import { run } from './run';

/** The part of a dedicated worker's scope that is used here; the page's own types know only windows. */
interface Scope {
  postMessage(message: FromWorker): void;
  onmessage: ((event: { readonly data: ToWorker }) => void) | null;
}

const scope = globalThis as unknown as Scope;
const controller = new AbortController();

scope.onmessage = ({ data }) => {
  if (data.type === 'stop') {
    controller.abort();
    return;
  }
  run(data.request, (event) => scope.postMessage(event), controller.signal).catch((error: unknown) => {
    scope.postMessage({ type: 'problem', text: sentenceOf(error) });
  });
};

function sentenceOf(error: unknown): string {
  if (isLowrankError(error)) return error.message;
  return `Something went wrong that should not: ${error instanceof Error ? error.message : String(error)}`;
}
