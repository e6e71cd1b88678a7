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
  fuso: string;
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
  | EventOf<'alarme', Alarm>;
