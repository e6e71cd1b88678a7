// The time zone of a place whose zone nobody has told: that of its state, which is right but for an island and the far
// west of Amazonas.
const zones: Record<string, string> = {
  AC: 'Rio_Branco',
  AL: 'Maceio',
  AM: 'Manaus',
  AP: 'Belem',
  BA: 'Bahia',
  CE: 'Fortaleza',
  MA: 'Fortaleza',
  MS: 'Campo_Grande',
  MT: 'Cuiaba',
  PA: 'Belem',
  PB: 'Fortaleza',
  PE: 'Recife',
  PI: 'Fortaleza',
  RN: 'Fortaleza',
  RO: 'Porto_Velho',
  RR: 'Boa_Vista',
  SE: 'Maceio',
  TO: 'Araguaina',
};

export function zoneOfState(state: string): string {
  return `America/${zones[state] ?? 'Sao_Paulo'}`;
}
