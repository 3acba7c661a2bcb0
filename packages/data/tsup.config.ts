import { libraryForBoth } from '../../tsup.base.js';

export default libraryForBoth();
