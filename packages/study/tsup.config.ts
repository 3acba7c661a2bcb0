import { library } from '../../tsup.base.js';

export default library({ charts: 'src/entries/charts.ts' }, { index: 'src/index.ts' });
