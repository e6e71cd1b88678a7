//! The catalogue of problems: for each a stable code, an HTTP status and the words for people.

use std::fmt;

// What the catalogue says about one kind of problem.
#[derive(Debug)]
struct Entry {
    code: &'static str,
    status: u16,
    title: &'static str,
    explanation: &'static str,
    cure: &'static str,
    log: &'static str,
}

macro_rules! catalogue {
    ($($kind:ident $code:literal $status:literal $title:literal $explanation:literal $cure:literal $log:literal)*) => {
        /// The kinds of problem. The doc of each is its line for logs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemKind {
            $(#[doc = $log] $kind,)*
        }

        impl ProblemKind {
            /// Every kind, in the order of the catalogue.
            pub const ALL: &'static [ProblemKind] = &[$(ProblemKind::$kind),*];

            fn entry(self) -> &'static Entry {
                match self {
                    $(ProblemKind::$kind => &Entry {
                        code: $code,
                        status: $status,
                        title: $title,
                        explanation: $explanation,
                        cure: $cure,
                        log: $log,
                    },)*
                }
            }
        }
    };
}

catalogue! {
    MalformedBody "corpo-invalido" 400
        "O corpo não é um objeto JSON válido"
        "O corpo da mensagem não pôde ser lido como um objeto JSON em UTF-8."
        "Corrija o JSON na linha e na coluna indicadas e envie de novo."
        "body is not valid JSON"
    MissingField "campo-ausente" 422
        "Falta um campo obrigatório"
        "A mensagem não tem um campo sem o qual o pedido não faz sentido."
        "Acrescente o campo indicado em `campo`."
        "required field missing"
    UnknownField "campo-desconhecido" 422
        "Campo desconhecido"
        "A mensagem tem um campo que esta operação não conhece. Ele não é ignorado, porque pode ser um erro de digitação."
        "Corrija o nome do campo ou retire-o; `detail` lista os nomes aceitos."
        "unknown field"
    InvalidField "campo-invalido" 422
        "Valor inválido em um campo"
        "Um campo tem tipo, forma ou valor que não é aceito."
        "Corrija o campo indicado em `campo` como diz `detail`."
        "invalid value in a field"
    ReversedWindow "janela-invertida" 422
        "A janela termina antes de começar"
        "A janela é o intervalo [janela_inicio, janela_fim): o fim tem de ser depois do início."
        "Envie um `janela_fim` posterior a `janela_inicio`."
        "window ends before it starts"
    WindowInThePast "janela-no-passado" 422
        "A janela já começou"
        "Não se reserva um horário que já passou."
        "Escolha uma janela que comece depois de agora; confira o relógio e o fuso de quem pede."
        "window has already begun"
    WindowTooLong "janela-longa-demais" 422
        "Janela mais longa do que a empresa permite"
        "Cada empresa limita a duração de uma reserva."
        "Peça uma janela de no máximo `maximo_s` segundos, ou divida a parada em duas."
        "window longer than allowed"
    WindowTooFarAhead "janela-distante-demais" 422
        "Janela distante demais"
        "A empresa ainda não aceita reservas para uma data tão distante."
        "Peça uma janela que comece dentro dos próximos `maximo_s` segundos, ou espere."
        "window too far ahead"
    StopCount "paradas-demais" 422
        "Número de paradas fora do limite"
        "Uma viagem tem de uma parada até o limite; uma empresa pode ter um limite menor."
        "Envie pelo menos uma parada e no máximo `maximo_paradas`; divida uma viagem mais longa."
        "no stops or too many"
    StopsOverlap "paradas-sobrepostas" 422
        "Duas paradas ao mesmo tempo"
        "Um carro não recarrega em dois lugares ao mesmo tempo, e duas paradas do pedido se sobrepõem."
        "Separe as janelas das paradas indicadas; elas podem se tocar, mas não se sobrepor."
        "two stops overlap in time"
    UnknownEvse "ponto-desconhecido" 422
        "Ponto de recarga desconhecido"
        "A empresa não tem um ponto com este `ponto_id`."
        "Consulte `GET /pontos` da empresa e use um `ponto_id` da lista."
        "no such EVSE"
    UnknownOperator "empresa-desconhecida" 422
        "Empresa desconhecida"
        "Este servidor não conhece uma empresa com este nome."
        "Use o nome de uma das empresas da rede."
        "no such operator"
    WrongPlug "plugue-incompativel" 422
        "O plugue não serve neste ponto"
        "O ponto não tem um conector para o plugue do veículo."
        "Escolha um ponto com o plugue do veículo: `GET /disponibilidade?plugue=`."
        "EVSE has no connector for the car"
    OutOfService "ponto-inoperante" 409
        "O ponto está fora de serviço"
        "A empresa retirou este ponto de serviço e não aceita novas reservas nele por enquanto. As que já existem continuam."
        "Escolha outro ponto: `GET /disponibilidade` mostra os que estão em serviço."
        "EVSE is out of service"
    NoPlan "sem-roteiro" 409
        "Não há paradas que levem ao destino"
        "Com a bateria, o carro e os horários livres que se conhecem, nenhuma sequência de paradas chega ao destino."
        "Faça o que `detail` sugere: saia em outro horário, com mais carga, ou aceite mais paradas."
        "no stops lead to the destination"
    NothingToBook "nada-a-reservar" 409
        "Não é preciso parar"
        "A carga da bateria chega ao destino sem recarga, então não há o que reservar."
        "Viaje sem reserva, ou peça uma `reserva_pct` maior para chegar com mais carga."
        "the battery lasts; nothing to book"
    Expired "expirada" 422
        "O pedido expirou"
        "O pedido chegou depois de seu `expira_em` e não foi executado."
        "Se ainda quiser a viagem, envie um novo pedido com outro `requisicao_id`."
        "request expired before it ran"
    Unauthenticated "nao-autenticado" 401
        "Falta uma credencial válida"
        "A operação exige um token, e ele falta ou não é conhecido."
        "Envie o cabeçalho `Authorization: Bearer <token>` com o token combinado com a empresa."
        "token missing or unknown"
    Forbidden "nao-permitido" 403
        "Operação não permitida"
        "Quem pede não tem direito a esta operação. Só a empresa que coordena uma sessão fala por ela."
        "Peça à empresa que coordena a sessão, ou use a credencial certa."
        "not allowed"
    NotFound "nao-encontrado" 404
        "Não encontrado"
        "Não há nada neste endereço ou com este identificador."
        "Confira o endereço e o identificador; `GET /docs` lista as operações."
        "not found"
    MethodNotAllowed "metodo-nao-permitido" 405
        "Método não permitido"
        "O endereço existe, mas não aceita este método HTTP."
        "Use um dos métodos do cabeçalho `Allow`."
        "method not allowed"
    RequestTimeout "tempo-esgotado" 408
        "O pedido demorou demais para chegar"
        "O servidor desistiu de esperar pelo resto do pedido."
        "Envie o pedido de novo, inteiro, em uma conexão melhor."
        "request took too long to arrive"
    Held "ponto-retido" 409
        "Ponto retido por outra viagem"
        "Outra viagem retém o ponto nesta janela e ainda não se decidiu. Pode estar livre em um instante."
        "Tente de novo em instantes com o mesmo pedido, ou escolha outra janela."
        "another hold is in the way"
    Booked "ponto-reservado" 409
        "Ponto já reservado nesta janela"
        "Outra viagem tem uma reserva confirmada que ocupa o ponto nesta janela."
        "Escolha uma das janelas de `livres`, ou outro ponto."
        "a reservation is in the way"
    SessionClosed "sessao-encerrada" 409
        "A sessão já terminou"
        "Esta sessão foi cancelada ou liberada nesta empresa e não pode reter mais nada."
        "Comece uma nova sessão."
        "session is over here"
    AnotherStore "deposito-trocado" 409
        "A empresa tem outro banco de dados"
        "A sessão foi feita para o banco de dados que a empresa tinha antes, e só ele poderia votar nela."
        "Comece uma nova sessão, sem indicar o depósito desta empresa."
        "hold was meant for another database of the operator"
    SessionDiffers "sessao-divergente" 409
        "A sessão já pediu outra coisa"
        "A mesma sessão pediu antes paradas ou dados diferentes."
        "Repita o pedido exatamente igual, ou comece uma nova sessão."
        "session asked for something else before"
    SessionUnknown "sessao-desconhecida" 409
        "Sessão nunca preparada aqui"
        "Não se confirma o que esta empresa nunca preparou. Isto é um alarme: alguém acredita em um voto que não existe."
        "Não trate a viagem como garantida; avise os operadores das empresas."
        "told to confirm what was never prepared"
    SessionConfirmed "sessao-confirmada" 409
        "A sessão já foi confirmada"
        "Uma sessão confirmada não se aborta."
        "Para desistir da viagem inteira use `DELETE /viagens/{id}` na empresa que a coordena."
        "told to abort what is confirmed"
    ReleasedHeuristically "liberada-por-heuristica" 409
        "Liberada sem resposta do coordenador"
        "A janela começou, a tolerância passou e o coordenador não respondeu: a empresa liberou o ponto sozinha."
        "Reserve outra vez a parada perdida; o operador da empresa vê o caso em seu painel."
        "released heuristically"
    RequestDiffers "requisicao-divergente" 409
        "O mesmo `requisicao_id` pediu outra coisa"
        "Um pedido anterior do mesmo veículo usou este `requisicao_id` com outro conteúdo."
        "Repita o pedido exatamente igual, ou use um `requisicao_id` novo para um pedido novo."
        "request id asked for something else before"
    RequestedElsewhere "requisicao-em-outra-empresa" 409
        "Outra empresa já coordena este pedido"
        "O mesmo pedido do mesmo veículo já está com outra empresa, que o decide ou já o confirmou."
        "Pergunte à empresa indicada em `empresa` antes de pedir de novo."
        "another operator coordinates this request"
    Unreachable "empresa-inacessivel" 409
        "Uma empresa não respondeu"
        "A empresa de uma das paradas não respondeu a tempo. Nada foi reservado em nenhuma empresa."
        "Tente de novo mais tarde, ou troque a parada por um ponto de outra empresa."
        "an operator did not answer in time"
    TooSlow "decisao-tardia" 409
        "A decisão não saiu a tempo"
        "Todas as empresas aceitaram, mas depois do limite de tempo da decisão. Nada foi reservado."
        "Tente de novo."
        "votes came after the decision limit"
    Withdrawn "desistencia" 409
        "Pedido retirado antes da decisão"
        "Quem pediu desistiu antes da decisão. Nada foi reservado."
        "Se mudou de ideia, envie um pedido novo."
        "driver withdrew"
    Stale "reserva-desatualizada" 409
        "A reserva a substituir não é mais a atual"
        "A mudança parte de uma reserva que já foi trocada, cancelada ou está mudando."
        "Consulte a viagem e peça a mudança de novo a partir do que vale agora."
        "change starts from a stale reservation"
    TripOver "viagem-encerrada" 409
        "A viagem já terminou"
        "A última janela da viagem já passou: não há o que cancelar ou mudar."
        "Faça um pedido novo para uma viagem nova."
        "trip is over"
    TripCancelled "viagem-cancelada" 409
        "A viagem está cancelada"
        "Uma viagem cancelada não muda mais."
        "Faça um pedido novo para uma viagem nova."
        "trip is cancelled"
    TripBusy "viagem-em-alteracao" 409
        "A viagem está mudando agora"
        "Uma confirmação ou uma mudança desta viagem ainda está em curso."
        "Espere alguns segundos e tente de novo."
        "trip is being confirmed or changed"
    BodyTooLarge "corpo-grande-demais" 413
        "Corpo grande demais"
        "O corpo da mensagem passa do limite do servidor."
        "Envie menos de uma vez; divida um lote em vários."
        "body too large"
    MediaType "tipo-de-midia" 415
        "Tipo de mídia não aceito"
        "O servidor só lê JSON."
        "Envie o cabeçalho `Content-Type: application/json`."
        "unsupported media type"
    TooManyRequests "muitas-requisicoes" 429
        "Requisições demais"
        "Quem pede passou do ritmo ou do número de conexões permitido."
        "Espere o tempo do cabeçalho `Retry-After` e diminua o ritmo."
        "too many requests"
    QuotaReached "limite-de-retencoes" 429
        "Retenções demais sem decisão"
        "A empresa coordenadora já retém aqui o máximo permitido sem ter decidido."
        "Decida ou cancele as sessões pendentes e tente de novo."
        "too many undecided holds"
    TooManyTrips "limite-de-viagens" 409
        "O carro já tem viagens demais em aberto"
        "A empresa limita quantas viagens um carro pode ter em aberto, e este carro chegou ao limite: `usado_viagens` de `maximo_viagens`."
        "Cancele uma das viagens com `DELETE /viagens/{id}`, ou espere que uma termine. Mudar uma viagem continua possível."
        "the car has as many open trips as it may have"
    TooMuchTime "limite-de-horas" 409
        "O carro já tem tempo demais reservado"
        "A empresa limita quanto tempo de janelas um carro pode ter reservado de uma vez, e este pedido passaria do limite: o carro já usa `usado_s` de `maximo_s` segundos."
        "Peça janelas mais curtas, cancele uma das viagens com `DELETE /viagens/{id}`, ou espere que uma termine."
        "the car would have more booked time than it may have"
    NotNow "acao-impossivel" 409
        "A ação não faz sentido agora"
        "O que se pede não combina com o estado em que as coisas estão."
        "Veja em `detail` o que falta, e o estado atual antes de tentar de novo."
        "makes no sense as things are"
    Internal "erro-interno" 500
        "Erro interno"
        "Algo falhou neste servidor. O pedido pode ter sido executado ou não."
        "Repita o pedido com o mesmo `requisicao_id`: uma repetição nunca reserva duas vezes."
        "internal error"
    Unavailable "indisponivel" 503
        "Servidor indisponível no momento"
        "O servidor está começando, terminando ou sem seu armazenamento. Não se sabe se o pedido foi executado."
        "Repita o mesmo pedido, com a mesma identificação, em instantes."
        "unavailable"
    InProgress "em-andamento" 504
        "Ainda sem decisão"
        "O pedido foi aceito e a decisão ainda não é conhecida. Isto não é uma recusa."
        "Pergunte no endereço de `consulta`, ou repita o mesmo pedido com o mesmo `requisicao_id`."
        "not decided yet"
    Unrecognised "nao-reconhecido" 500
        "Problema não reconhecido"
        "Outro servidor respondeu com um problema que este programa não conhece."
        "Leia `detail`; uma versão mais nova deste programa talvez o conheça."
        "problem of an unknown kind"
}

impl ProblemKind {
    /// The stable code: `tipo`, and the last segment of `type`.
    pub fn code(self) -> &'static str {
        self.entry().code
    }

    /// The kind with this code.
    pub fn from_code(code: &str) -> Option<ProblemKind> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    /// HTTP status.
    pub fn status(self) -> u16 {
        self.entry().status
    }

    /// One line for people, in Portuguese.
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// What happened, in Portuguese: for the page `/problemas/{tipo}`.
    pub fn explanation(self) -> &'static str {
        self.entry().explanation
    }

    /// What to do about it, in Portuguese: for the page `/problemas/{tipo}`.
    pub fn cure(self) -> &'static str {
        self.entry().cure
    }

    /// One line for logs, in English.
    pub fn log(self) -> &'static str {
        self.entry().log
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
