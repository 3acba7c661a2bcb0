import { libraryForBoth } from '../../tsup.base.js';

export default libraryForBoth({ index: 'src/index.ts' }, { node: 'src/entries/node.ts', cli: 'src/cli.ts' });
