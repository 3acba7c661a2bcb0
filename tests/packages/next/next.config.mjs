import { dirname } from 'node:path';

// Next itself lies in the folder above the project.
export default { output: 'export', turbopack: { root: dirname(dirname(process.cwd())) } };
