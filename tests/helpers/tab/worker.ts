import * as files from '@lowrank/files';
import * as lowrank from 'lowrank';
import * as storage from 'lowrank/storage';

Object.assign(globalThis, { tab: { files, lowrank, storage } });
postMessage('ready');
