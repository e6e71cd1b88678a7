// Names of the trade: the same in every language, but for a word.
import { t } from './index.svelte';

const plugs: Record<string, string> = {
  IEC_62196_T2_COMBO: 'CCS2',
  IEC_62196_T1_COMBO: 'CCS1',
  CHADEMO: 'CHAdeMO',
  GBT_DC: 'GB/T',
  GBT_AC: 'GB/T AC',
  TESLA_S: 'NACS',
};
const types: Record<string, number> = { IEC_62196_T1: 1, IEC_62196_T2: 2 };

export function plugName(plug: string): string {
  const type = types[plug];
  return type ? t('plug.type', { number: type }) : (plugs[plug] ?? plug);
}
