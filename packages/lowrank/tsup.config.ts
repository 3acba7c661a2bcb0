import { library } from '../../tsup.base.js';

export default library({ entry: { index: 'src/index.ts', node: 'src/entries/node.ts', cli: 'src/cli.ts' } });
