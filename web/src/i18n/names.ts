// Names of the trade that are the same in every language.
const plugs: Record<string, string> = {
  IEC_62196_T2_COMBO: 'CCS2',
  IEC_62196_T1_COMBO: 'CCS1',
  IEC_62196_T2: 'Type 2',
  IEC_62196_T1: 'Type 1',
  CHADEMO: 'CHAdeMO',
  GBT_DC: 'GB/T',
  GBT_AC: 'GB/T AC',
  TESLA_S: 'NACS',
};

export function plugName(plug: string): string {
  return plugs[plug] ?? plug;
}
