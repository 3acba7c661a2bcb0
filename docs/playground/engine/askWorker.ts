/**
 * Asks a worker that answers once, and ends it.
 *
 * @throws Error what the worker says went wrong, as a sentence
 */
export function askWorker<Answer extends object>(
  worker: Worker,
  question: unknown,
): Promise<Exclude<Answer, { problem: string }>> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      worker.terminate();
      if ('problem' in data) reject(new Error(String(data.problem)));
      else resolve(data as Exclude<Answer, { problem: string }>);
    };
    worker.onerror = ({ message }) => {
      worker.terminate();
      reject(new Error(message || 'a part of the page could not be loaded'));
    };
    worker.postMessage(question);
  });
}
