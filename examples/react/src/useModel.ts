import { useEffect, useRef, useState } from 'react';
import type { RemoteModel, Trainer } from 'lowrank/worker';
import { startTrainer } from 'lowrank/worker';

/** A model in a worker of its own, with the adapters that were added to it. */
export interface ModelState {
  readonly model: RemoteModel | undefined;
  readonly adapters: readonly string[];
  readonly problem: string | undefined;
  /** Does something that may fail, and keeps the sentence that says why. */
  readonly attempt: (work: () => Promise<void>) => Promise<void>;
  readonly open: (files: readonly File[]) => Promise<void>;
  readonly addAdapter: (files: readonly File[]) => Promise<void>;
}

/** Starts a worker with the component and ends it with the component. */
export function useModel(): ModelState {
  const trainer = useRef<Promise<Trainer>>(undefined);
  const [model, setModel] = useState<RemoteModel>();
  const [adapters, setAdapters] = useState<readonly string[]>([]);
  const [problem, setProblem] = useState<string>();

  useEffect(() => {
    const started = startTrainer();
    trainer.current = started;
    return () => void started.then((made) => made.dispose());
  }, []);

  const attempt = async (work: () => Promise<void>): Promise<void> => {
    setProblem(undefined);
    await work().catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)));
  };
  return {
    model,
    adapters,
    problem,
    attempt,
    open: (files) => attempt(async () => setModel(await (await trainer.current)?.loadModel(files))),
    addAdapter: (files) =>
      attempt(async () => {
        const name = files[0]?.webkitRelativePath.split('/')[0] || `adapter ${adapters.length + 1}`;
        await model?.loadAdapter(files, { name });
        await model?.activateAdapter([]);
        setAdapters([...adapters, name]);
      }),
  };
}
