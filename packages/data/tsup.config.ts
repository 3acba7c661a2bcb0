import { library } from '../../tsup.base.js';

// Bundlers for browsers know `node:fs/promises` as Node's and leave it alone; without the prefix they look for a package.
export default library({ removeNodeProtocol: false });
