import { library } from '../../tsup.base.js';

export default library({ index: 'src/index.ts', op: 'src/entries/op.ts', backend: 'src/entries/backend.ts' });
