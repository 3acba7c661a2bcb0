import { library } from '../../tsup.base.js';

export default library(
  {
    index: 'src/index.ts',
    storage: 'src/entries/storage.ts',
    worker: 'src/entries/worker.ts',
    trainerThread: 'src/worker/trainerThread.ts',
  },
  { node: 'src/entries/node.ts', cli: 'src/cli.ts' },
);
