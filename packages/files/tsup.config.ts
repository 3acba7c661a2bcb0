import { libraryForBoth } from '../../tsup.base.js';

export default libraryForBoth({
  index: 'src/index.ts',
  names: 'src/entries/names.ts',
  reading: 'src/entries/reading.ts',
});
