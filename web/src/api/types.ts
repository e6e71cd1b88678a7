// What the program says, as docs/wire.md has it: its words stay Portuguese, instants are RFC 3339 in UTC.

export interface Connector {
  conector_id: string;
  plugue: string;
  potencia_kw: number;
}
export interface Window {
  inicio: string;
  fim: string;
}
export type PointState = 'disponivel' | 'reservado' | 'em_uso' | 'inoperante';
export interface Point {
  ponto_id: string;
  estacao_id: string;
  nome: string;
  cidade: string;
  uf: string;
  latitude: number;
  longitude: number;
  fuso?: string;
  conectores: Connector[];
  preco_kwh: number;
  taxa_ativacao: number;
  estado: PointState;
  livres: Window[];
}
export interface Availability {
  empresa: string;
  revisao: number;
  alterados_desde?: number;
  proximo?: string;
  pontos: Point[];
}

export interface Model {
  modelo: string;
  nome: string;
  bateria_kwh: number;
  potencia_max_kw: number;
  plugues: string[];
  autonomia_km: number;
}

export type OfferState = 'atual' | 'inacessivel' | 'desconhecida';
export interface Offer {
  empresa: string;
  estado: OfferState;
  pontos: number;
  revisao: number;
  vista_em?: string;
  conhecida_ate?: string;
}
export interface Network {
  empresa: string;
  empresas: Offer[];
}

export type CarState =
  'parado' | 'pedindo' | 'dirigindo' | 'aguardando' | 'carregando' | 'chegou' | 'sem_bateria' | 'offline';
export interface Car {
  veiculo_id: string;
  latitude: number;
  longitude: number;
  bateria_pct: number;
  velocidade_kmh: number;
  autonomia_km: number;
  instante: string;
  estado?: CarState;
}
export interface Cars {
  veiculos: Car[];
  proximo?: string;
}

export interface Place {
  nome: string;
  latitude: number;
  longitude: number;
}
export interface ItineraryStop {
  parada: number;
  empresa: string;
  estacao_id: string;
  nome: string;
  cidade: string;
  uf: string;
  latitude: number;
  longitude: number;
  fuso: string;
  ponto_id: string;
  conector_id: string;
  potencia_kw: number;
  distancia_km: number;
  chegada: string;
  janela_inicio: string;
  janela_fim: string;
  saida: string;
  chegada_pct: number;
  saida_pct: number;
  energia_kwh: number;
  preco: number;
}
export interface Itinerary {
  origem: Place;
  destino: Place;
  modelo: string;
  partida: string;
  chegada: string;
  distancia_km: number;
  conducao_min: number;
  recarga_min: number;
  espera_min: number;
  preco: number;
  chegada_pct: number;
  paradas: ItineraryStop[];
}
export type Preference = 'mais_rapida' | 'mais_barata' | 'menos_paradas';
export interface Journey {
  origem: string;
  destino: string;
  bateria_pct: number;
  modelo: string;
  saida?: string;
  via?: string[];
  preferencia?: Preference;
  reserva_pct?: number;
  evitar_empresas?: string[];
  alternativas?: number;
}
export interface Plans {
  roteiros: Itinerary[];
  ofertas: Offer[];
}

export interface Stop {
  empresa: string;
  ponto_id: string;
  janela_inicio: string;
  janela_fim: string;
}
export type StopState = 'confirmada' | 'a_confirmar' | 'perdida' | 'liberada';
export interface TripStop extends Stop {
  parada: number;
  estado: StopState;
}
export type TripState = 'confirmada' | 'cancelada' | 'alterada' | 'mista';
export interface Trip {
  viagem_id: string;
  estado: TripState;
  requisicao_id: string;
  veiculo_id: string;
  servidor: string;
  sessao: string;
  decidida_em: string;
  paradas: TripStop[];
  roteiro?: Itinerary;
}
export interface TripRequest {
  requisicao_id: string;
  veiculo: { veiculo_id: string; plugue?: string };
  paradas: Stop[];
}

/** RFC 9457, with the program's own members. */
export interface Problem {
  type?: string;
  tipo: string;
  title: string;
  status: number;
  detail?: string;
  campo?: string;
  parada?: number;
  empresa?: string;
  livres?: Window[];
  consulta?: string;
}

export interface Check {
  estado: 'ok' | 'falha' | 'atencao' | string;
  detalhe?: string;
}
export interface Health {
  estado: 'vivo' | 'pronto' | 'degradado' | 'iniciando' | 'encerrando' | 'indisponivel';
  empresa: string;
  deposito: string;
  versao: string;
  verificacoes: Record<string, Check>;
}

export type BranchState = 'provisoria' | 'preparada' | 'confirmada' | 'liberada' | 'abortada';
export interface Hold {
  sessao: string;
  estado: BranchState;
  coordenador: string;
  veiculo_id?: string;
  pontos: string[];
}
export interface Refused {
  requisicao_id: string;
  veiculo_id: string;
  motivo: Problem;
}
export interface PeerNews {
  empresa: string;
  acessivel: boolean;
  detalhe?: string;
}
export interface Alarm {
  problema: Problem;
  sessao?: string;
  viagem_id?: string;
}

interface EventOf<Name extends string, Data> {
  id: number;
  instante: string;
  evento: Name;
  dados: Data;
}
export type News =
  | EventOf<'viagem', Trip>
  | EventOf<'viagem-recusada', Refused>
  | EventOf<'reserva', Hold>
  | EventOf<'veiculo', Car>
  | EventOf<'empresa-parceira', PeerNews>
  | EventOf<'alarme', Alarm>
  | EventOf<'ponto', { ponto_id: string; estado: PointState }>;

// --- What only the page asks: /painel and /demo ---

export type Access = 'operador' | 'leitura' | 'nenhum';
export interface Config {
  modo: 'empresa' | 'demo';
  versao: string;
  empresa?: string;
  nome?: string;
  acesso?: Access;
  mapa?: { tiles: string; atribuicao: string };
}

export interface ListedPoint {
  ponto_id: string;
  plugues: string[];
  potencia_kw: number;
  preco_kwh: number;
  taxa_ativacao: number;
  estado: PointState;
  livre: boolean;
}
export interface ListedStation {
  empresa: string;
  estacao_id: string;
  nome: string;
  cidade: string;
  uf: string;
  latitude: number;
  longitude: number;
  fuso?: string;
  pontos: ListedPoint[];
}

export interface Booked {
  inicio: string;
  fim: string;
  estado: 'provisoria' | 'preparada' | 'confirmada' | 'em_uso';
  sessao: string;
  coordenador: string;
  parada: number;
  veiculo_id?: string;
}
export interface CalendarPoint {
  ponto_id: string;
  estacao_id: string;
  nome: string;
  cidade: string;
  uf: string;
  estado: PointState;
  janelas: Booked[];
  cortadas?: boolean;
}
export interface Figures {
  de: string;
  ate: string;
  pontos: number;
  inoperantes: number;
  reservas: Partial<Record<'confirmada' | 'preparada' | 'provisoria', number>>;
  reservado_min: number;
  utilizacao_pct: number;
  receita_prevista_brl: number;
  reservas_com_previsao: number;
  receita_teto_brl: number;
  faixas: { inicio: string; fim: string; reservado_min: number }[];
  recusas: { desde: string; por_motivo: { tipo: string; quantas: number }[] };
  viagens: { reservadas: number; recusadas: number; canceladas: number };
}

export interface Session {
  sessao: string;
  coordenador: string;
  inicio: string;
  ultimo: string;
  veiculo_id?: string;
  estado: string;
}
export interface Passage {
  instante: string;
  us: number;
  evento: string;
  empresa?: string;
  voto?: 'sim' | 'nao';
  tipo?: string;
  resultado?: string;
}
export interface Branch {
  estado: BranchState;
  causa?: string;
  instante?: string;
  reservas?: (Omit<TripStop, 'empresa' | 'estado'> & { ponto_id: string })[];
}
export interface History {
  empresa: string;
  sessao: string;
  coordenador: string;
  historia: Passage[];
  ramo?: Branch;
  viagem?: Record<string, unknown>;
}

export interface Vitals {
  empresa: string;
  versao: string;
  deposito: string;
  iniciada_em: string;
  estado: Health['estado'];
  parceiras: { empresa: string; acessivel: boolean; desde?: string; pendentes: number }[];
  em_duvida: {
    quantas: number;
    mais_antiga_s?: number | null;
    sessoes: { sessao: string; coordenador: string; idade_s: number }[];
  };
  viagens: { amostras: number; p50_ms?: number; p99_ms?: number };
  gravacoes: {
    total: number;
    registros: number;
    na_fila: number;
    amostras: number;
    p50_ms?: number;
    p99_ms?: number;
  };
  mqtt: { configurado: boolean; conectado: boolean; respostas_devidas: number };
  eventos: { observadores: number; observadores_max: number; perdidos: number };
}

export type DemoAction = 'parar' | 'iniciar' | 'congelar' | 'descongelar' | 'isolar' | 'religar';
export interface DemoCompany {
  id: string;
  nome: string;
  base: string;
  url: string;
  processo?: number;
  estado: 'no_ar' | 'iniciando' | 'congelada' | 'parada';
  isolada: boolean;
  desde: string;
}
export interface Verdict {
  instante: string;
  veredito: 'integra' | 'pendente' | 'mista' | 'violada' | 'desconhecido';
  texto: string;
  contagens: Record<string, number | Record<string, number>>;
  achados: { kind: string; class: string; transactions: string[]; companies: string[] }[];
  nao_examinadas: string[];
}
