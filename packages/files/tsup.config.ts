import { library } from '../../tsup.base.js';

export default library({
  index: 'src/index.ts',
  names: 'src/entries/names.ts',
  reading: 'src/entries/reading.ts',
});
