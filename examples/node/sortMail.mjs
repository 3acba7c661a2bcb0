// Sorts mails into folders, learned from a CSV with the columns text and label:
//   node sortMail.mjs MODEL SORTED.csv INBOX.csv [ADAPTER] [STEPS]
// #region sortMail
import { chooseBackend } from 'lowrank';
import { fineTuneFolder, predictFolder } from 'lowrank/node';

const [model, data, inbox, output = './mail-sorter', steps = '200'] = process.argv.slice(2);
if (inbox === undefined) throw new Error('Usage: node sortMail.mjs MODEL SORTED.csv INBOX.csv [ADAPTER] [STEPS]');
const task = 'text-classification';
const { backend } = await chooseBackend('auto');
const budget = { steps: Number(steps), batchSize: 8, learningRate: 5e-3, overwrite: true };
const { final_loss: loss } = await fineTuneFolder({ backend, model, data, output, task, ...budget });
console.error(`learned, loss ${loss.toFixed(4)}`);
const mails = await predictFolder({ backend, model, adapter: output, data: inbox });
for (const { label, probabilities } of mails) console.log(`${label}\t${probabilities[label].toFixed(2)}`);
backend.dispose();
// #endregion sortMail
