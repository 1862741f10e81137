package dashboards

// What follows is Grafana's schema, as far as it is used here.
type (
	dashboardJSON struct {
		UID           string          `json:"uid"`
		Title         string          `json:"title"`
		Description   string          `json:"description"`
		Tags          []string        `json:"tags"`
		Timezone      string          `json:"timezone"`
		Editable      bool            `json:"editable"`
		GraphTooltip  int             `json:"graphTooltip"` // 1: the crosshair is shared
		Time          timeJSON        `json:"time"`
		Refresh       string          `json:"refresh"`
		SchemaVersion int             `json:"schemaVersion"`
		Links         []linkJSON      `json:"links"`
		Annotations   annotationsJSON `json:"annotations"`
		Templating    templatingJSON  `json:"templating"`
		Panels        []panelJSON     `json:"panels"`
	}
	timeJSON struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	linkJSON struct {
		Title       string   `json:"title"`
		Type        string   `json:"type"`
		Icon        string   `json:"icon"`
		Tooltip     string   `json:"tooltip"`
		URL         string   `json:"url"`
		Tags        []string `json:"tags"`
		AsDropdown  bool     `json:"asDropdown"`
		TargetBlank bool     `json:"targetBlank"`
		IncludeVars bool     `json:"includeVars"`
		KeepTime    bool     `json:"keepTime"`
	}
	annotationsJSON struct {
		List []annotationJSON `json:"list"`
	}
	annotationJSON struct {
		Name        string        `json:"name"`
		Datasource  datasourceRef `json:"datasource"`
		Enable      bool          `json:"enable"`
		Hide        bool          `json:"hide"`
		IconColor   string        `json:"iconColor"`
		BuiltIn     int           `json:"builtIn,omitempty"`
		Type        string        `json:"type,omitempty"`
		Expr        string        `json:"expr,omitempty"`
		Step        string        `json:"step,omitempty"`
		TitleFormat string        `json:"titleFormat,omitempty"`
		TextFormat  string        `json:"textFormat,omitempty"`
	}
	datasourceRef struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	templatingJSON struct {
		List []variableJSON `json:"list"`
	}
	variableJSON struct {
		Name       string         `json:"name"`
		Label      string         `json:"label"`
		Type       string         `json:"type"`
		Datasource *datasourceRef `json:"datasource,omitempty"`
		Query      any            `json:"query"`
		Refresh    int            `json:"refresh,omitempty"` // 2: when the time range changes
		Sort       int            `json:"sort,omitempty"`
		Multi      bool           `json:"multi"`
		IncludeAll bool           `json:"includeAll"`
		AllValue   string         `json:"allValue,omitempty"`
		Current    *optionJSON    `json:"current,omitempty"`
		Options    []optionJSON   `json:"options"`
		Hide       int            `json:"hide"`
	}
	queryJSON struct {
		Query string `json:"query"`
		RefID string `json:"refId"`
	}
	optionJSON struct {
		Selected bool `json:"selected"`
		Text     any  `json:"text"`
		Value    any  `json:"value"`
	}
	panelJSON struct {
		ID          int            `json:"id"`
		Type        string         `json:"type"`
		Title       string         `json:"title"`
		Description string         `json:"description,omitempty"`
		GridPos     gridPos        `json:"gridPos"`
		Datasource  *datasourceRef `json:"datasource,omitempty"`
		Collapsed   *bool          `json:"collapsed,omitempty"`
		Panels      []panelJSON    `json:"panels,omitzero"` // of a row: there, if empty
		Targets     []targetJSON   `json:"targets,omitempty"`
		FieldConfig *fieldJSON     `json:"fieldConfig,omitempty"`
		Options     any            `json:"options,omitempty"`
	}
	gridPos struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	}
	targetJSON struct {
		RefID        string        `json:"refId"`
		Datasource   datasourceRef `json:"datasource"`
		EditorMode   string        `json:"editorMode"`
		Expr         string        `json:"expr"`
		LegendFormat string        `json:"legendFormat,omitempty"`
		Format       string        `json:"format"`
		Instant      bool          `json:"instant"`
		Range        bool          `json:"range"`
	}
	fieldJSON struct {
		Defaults  defaultsJSON `json:"defaults"`
		Overrides []any        `json:"overrides"`
	}
	defaultsJSON struct {
		Unit       string          `json:"unit,omitempty"`
		Decimals   *int            `json:"decimals,omitempty"`
		Min        *float64        `json:"min,omitempty"`
		Max        *float64        `json:"max,omitempty"`
		NoValue    string          `json:"noValue,omitempty"`
		Color      *colorJSON      `json:"color,omitempty"`
		Mappings   []mappingJSON   `json:"mappings"`
		Thresholds *thresholdsJSON `json:"thresholds,omitempty"`
		Custom     any             `json:"custom,omitempty"`
	}
	colorJSON struct {
		Mode string `json:"mode"`
	}
	mappingJSON struct {
		Type    string `json:"type"`
		Options any    `json:"options"`
	}
	specialJSON struct {
		Match  string     `json:"match"`
		Result resultJSON `json:"result"`
	}
	resultJSON struct {
		Text  string `json:"text"`
		Color string `json:"color,omitempty"`
		Index int    `json:"index"`
	}
	thresholdsJSON struct {
		Mode  string     `json:"mode"`
		Steps []stepJSON `json:"steps"`
	}
	stepJSON struct {
		Value *float64 `json:"value"`
		Color string   `json:"color"`
	}
)

// What follows are the options of the kinds of panels.
type (
	drawJSON struct {
		DrawStyle         string        `json:"drawStyle"`
		LineInterpolation string        `json:"lineInterpolation"`
		LineWidth         int           `json:"lineWidth"`
		FillOpacity       int           `json:"fillOpacity"`
		ShowPoints        string        `json:"showPoints"`
		SpanNulls         bool          `json:"spanNulls"`
		AxisSoftMin       *float64      `json:"axisSoftMin,omitempty"`
		Stacking          stackingJSON  `json:"stacking"`
		ThresholdsStyle   thresholdJSON `json:"thresholdsStyle"`
	}
	stackingJSON struct {
		Mode  string `json:"mode"`
		Group string `json:"group"`
	}
	thresholdJSON struct {
		Mode string `json:"mode"`
	}
	seriesOptions struct {
		Legend  legendJSON  `json:"legend"`
		Tooltip tooltipJSON `json:"tooltip"`
	}
	legendJSON struct {
		DisplayMode string   `json:"displayMode"`
		Placement   string   `json:"placement"`
		ShowLegend  bool     `json:"showLegend"`
		Calcs       []string `json:"calcs"`
	}
	tooltipJSON struct {
		Mode string `json:"mode"`
		Sort string `json:"sort"`
	}
	reduceJSON struct {
		Values bool     `json:"values"`
		Calcs  []string `json:"calcs"`
		Fields string   `json:"fields"`
	}
	statOptions struct {
		GraphMode     string     `json:"graphMode"`
		ColorMode     string     `json:"colorMode"`
		JustifyMode   string     `json:"justifyMode"`
		TextMode      string     `json:"textMode"`
		WideLayout    bool       `json:"wideLayout"`
		Orientation   string     `json:"orientation"`
		ShowChange    bool       `json:"showPercentChange"`
		ChangeColor   string     `json:"percentChangeColorMode"`
		ReduceOptions reduceJSON `json:"reduceOptions"`
	}
	barOptions struct {
		DisplayMode   string     `json:"displayMode"`
		ValueMode     string     `json:"valueMode"`
		NamePlacement string     `json:"namePlacement"`
		ShowUnfilled  bool       `json:"showUnfilled"`
		Sizing        string     `json:"sizing"`
		MinVizWidth   int        `json:"minVizWidth"`
		MinVizHeight  int        `json:"minVizHeight"`
		MaxVizHeight  int        `json:"maxVizHeight"`
		Orientation   string     `json:"orientation"`
		Legend        legendJSON `json:"legend"`
		ReduceOptions reduceJSON `json:"reduceOptions"`
	}
	heatOptions struct {
		Calculate    bool          `json:"calculate"`
		CellGap      int           `json:"cellGap"`
		Color        heatColor     `json:"color"`
		Exemplars    exemplarColor `json:"exemplars"`
		FilterValues filterJSON    `json:"filterValues"`
		Legend       showJSON      `json:"legend"`
		RowsFrame    layoutJSON    `json:"rowsFrame"`
		ShowValue    string        `json:"showValue"`
		Tooltip      heatTooltip   `json:"tooltip"`
		YAxis        heatAxis      `json:"yAxis"`
	}
	heatColor struct {
		Mode     string  `json:"mode"`
		Scheme   string  `json:"scheme"`
		Fill     string  `json:"fill"`
		Scale    string  `json:"scale"`
		Exponent float64 `json:"exponent"`
		Steps    int     `json:"steps"`
		Reverse  bool    `json:"reverse"`
	}
	exemplarColor struct {
		Color string `json:"color"`
	}
	filterJSON struct {
		LE float64 `json:"le"`
	}
	showJSON struct {
		Show bool `json:"show"`
	}
	layoutJSON struct {
		Layout string `json:"layout"`
	}
	heatTooltip struct {
		Mode           string `json:"mode"`
		YHistogram     bool   `json:"yHistogram"`
		ShowColorScale bool   `json:"showColorScale"`
	}
	heatAxis struct {
		AxisPlacement string `json:"axisPlacement"`
		Unit          string `json:"unit"`
		Reverse       bool   `json:"reverse"`
	}
	bandJSON struct {
		LineWidth   int `json:"lineWidth"`
		FillOpacity int `json:"fillOpacity"`
	}
	timelineOptions struct {
		MergeValues bool        `json:"mergeValues"`
		ShowValue   string      `json:"showValue"`
		RowHeight   float64     `json:"rowHeight"`
		AlignValue  string      `json:"alignValue"`
		Legend      legendJSON  `json:"legend"`
		Tooltip     tooltipJSON `json:"tooltip"`
	}
	tableOptions struct {
		FrameIndex int    `json:"frameIndex"`
		ShowHeader bool   `json:"showHeader"`
		CellHeight string `json:"cellHeight"`
	}
)
